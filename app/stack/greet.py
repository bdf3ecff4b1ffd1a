"""The first words of a stack: it waits until it is ready, answers itself, and says where it is."""

import shlex
import time
from collections.abc import Callable

from app.settings import Settings
from app.stack import flower
from app.stack.client import MODEL, Client, readiness
from app.stack.demo import read_key
from app.stack.failure import StackError

PROMPT = "Hello! Who are you?"
READY_S = 90.0
LOOK_S = 0.1

Tell = Callable[[str], None]


def await_ready(now: Settings, seconds: float = READY_S) -> None:
    """Waits until the stack is ready. Raises StackError, which says what is missing, if it takes
    longer than `seconds`."""
    limit = time.monotonic() + seconds
    while True:
        ready, problem = readiness(now.web_address)
        if ready:
            return
        if time.monotonic() >= limit:
            raise StackError(f"not ready after {seconds:.0f} s: {problem}")
        time.sleep(LOOK_S)


def greet(now: Settings, tell: Tell) -> None:
    """Waits for the stack, streams one completion and says where everything is. `tell` gets text
    as it comes. Raises StackError if the stack does not become ready or there is no key."""
    await_ready(now)
    key = read_key(now.home)
    if key is None:
        raise StackError(f"no demo key in {now.home}; `moonpool prepare` makes it")
    _first_words(now, key, tell)
    tell(_where(now, key))


def _first_words(now: Settings, key: str, tell: Tell) -> None:
    tell(f"\n{PROMPT}\n{MODEL}: ")
    try:
        with Client(now.base_url, key) as client:
            answer = client.stream(PROMPT, tell)
    except StackError as error:
        # A provider that fails is no reason to take the stack down again.
        tell(f"\nThe completion failed: {error}\nThe stack is up; `moonpool doctor` says more.\n")
    else:
        price = "" if answer.cost_usd is None else f", ${answer.cost_usd:.6f}"
        tell(f"\n({answer.seconds:.2f} s{price})\n")


def _where(now: Settings, key: str) -> str:
    body = f'{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'
    curl = (
        f"curl -N {now.base_url}/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
    return (
        f"\nbase URL  {now.base_url}\n"
        f"API key   {key}\n"
        f"console   {now.web_address}/console\n"
        f"Flower    {now.flower_address}  user {flower.USER}, "
        f"password {flower.password(now.home)}\n"
        f"data      {now.home}\n"
        f"try it    {curl}\n\n"
    )
