"""`moonpool demo`."""

from dataclasses import asdict

import click

from app.cli import options
from app.cli.show import show_json
from app.settings import settings
from app.stack.client import MODEL, Answer, Client
from app.stack.demo import read_key
from app.stack.failure import NotUp
from app.stack.status import running

PROMPTS = (
    "I worry that my requests get lost.",
    "My computer does not listen to me.",
    "I would like an answer, even if it comes later.",
)


@click.command()
@click.option("--model", default=MODEL, show_default=True, help="Model to ask.")
@options.as_json
@options.port
@options.data_dir
def demo(model: str, as_json: bool) -> None:
    """Ask the running stack three times: waited for, streamed, and as a job in the background.

    Prints each text and what it cost.

    \b
    Examples:
      moonpool demo
      moonpool demo --model builtin/eliza --json

    Exit codes: 0 all three answered, 1 one failed, 3 the stack is not up.
    """
    now = running(settings())
    key = read_key(now.home)
    if key is None:
        raise NotUp(f"no demo key in {now.home}: start the stack with `moonpool up`")
    show = _Show(quiet=as_json)
    answers: dict[str, Answer] = {}
    with Client(now.base_url, key) as client:
        show.begin("sync", PROMPTS[0])
        answers["sync"] = client.ask(PROMPTS[0], model)
        show.end(answers["sync"], answers["sync"].text)
        show.begin("stream", PROMPTS[1])
        answers["stream"] = client.stream(PROMPTS[1], show.piece, model)
        show.end(answers["stream"])
        show.begin("background", PROMPTS[2])
        answers["background"] = client.ask_background(PROMPTS[2], model)
        show.end(answers["background"], answers["background"].text)
    if as_json:
        show_json({name: asdict(answer) for name, answer in answers.items()})


class _Show:
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def begin(self, kind: str, prompt: str) -> None:
        self.piece(f"{click.style(kind, bold=True)}: {prompt}\n  ")

    def piece(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, nl=False)

    def end(self, answer: Answer, text: str = "") -> None:
        cost = "not said" if answer.cost_usd is None else f"${answer.cost_usd:.9f}"
        job = f"  {answer.job_id}" if answer.job_id else ""
        self.piece(f"{text}\n  cost {cost}  {answer.seconds:.2f} s{job}\n\n")
