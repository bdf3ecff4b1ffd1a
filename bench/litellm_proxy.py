"""LiteLLM's proxy as a peer: a virtual environment of its own, and two workers of it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.settings import child_environment
from app.stack.program import Program
from bench.rig import BENCH, Provider, Target, answers, free_port
from bench.running import BenchError, running

REQUIREMENTS = BENCH / "peers.txt"
VENV = BENCH.parent / ".venv-peers"
START_S = 180.0
KEY = "sk-bench"

CONFIG = """\
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "{url}/v1", api_key: "{key}"}}
general_settings: {{master_key: "{key}"}}
litellm_settings: {{telemetry: false}}
"""


def peer_python() -> Path:
    """The Python of the peers' environment, which is made if it is missing or its requirements
    have changed. Raises BenchError if that fails."""
    python, stamp = VENV / "bin" / "python", VENV / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making {VENV} (a few minutes the first time)", file=sys.stderr, flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    make = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    for argv in (make, [*pip, "-r", str(REQUIREMENTS)]):
        if subprocess.run(argv, stdout=sys.stderr, check=False).returncode:
            raise BenchError(f"{VENV} cannot be made; or use another with --peer-python")
        # Neither git nor ruff looks into it then.
        (VENV / ".gitignore").write_text("*\n")
    stamp.write_text(wanted)
    return python


def versions(python: Path) -> str:
    """The versions of LiteLLM and what serves it, in the environment of `python`."""
    names = ("litellm", "uvicorn", "uvloop")
    code = f"from importlib.metadata import version as v; print(*[v(n) for n in {names}])"
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    if said.returncode:
        raise BenchError(f"{python} has no litellm[proxy] and uvloop: {said.stderr.strip()}")
    return ", ".join(map(" ".join, zip(names, said.stdout.split(), strict=True)))


@contextmanager
def litellm(folder: Path, upstream: Provider, python: Path, workers: int) -> Iterator[Target]:
    """The proxy in front of the mock provider: a master key, no database, no callbacks, errors
    logged alone. Raises BenchError if it does not start."""
    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(url=upstream.base, key=KEY))
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--num_workers", str(workers)]
    program = Program(
        "LiteLLM",
        [str(python.parent / "litellm"), *arguments],
        child_environment(
            LITELLM_LOG="ERROR",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            NO_PROXY="127.0.0.1",
        ),
        folder,
        log=folder / "litellm.log",
    )
    with running(program, lambda _: answers(f"{base}/v1/models", KEY), START_S) as child:
        url = f"{base}/v1/chat/completions"
        yield Target("LiteLLM", url, KEY, {"litellm": child.pid or 0})
