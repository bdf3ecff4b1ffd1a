"""A catalogue of three models with profiles, and what is asked of the router over it."""

from typing import Any

import orjson

from tests.app.web.doors import Caller

AT = "/v1/router"
CHAT = "/v1/chat/completions"
HAIKU = [{"role": "user", "content": "Write a haiku about programming"}]
SEED = {"messages": HAIKU}
"""As Lunar's documentation has it."""

THREE_MODELS = """
providers:
  east: {kind: sim}
  west: {kind: sim}
  north: {kind: sim, without: [tools]}
models:
  gpt-4o:
    price: {input: 2.5, output: 10}
    routes: [{provider: east, model: a, parameters: {tokens: 4}}]
  gpt-4o-mini:
    price: {input: 0.15, output: 0.60}
    routes:
      - {provider: east, model: b, parameters: {tokens: 4}}
      - {provider: west, model: c, parameters: {tokens: 4}}
  mistral-small-latest:
    price: {input: 0.1, output: 0.3}
    context: 4000
    routes: [{provider: north, model: d, parameters: {tokens: 4}}]
"""
ALL = ["gpt-4o", "gpt-4o-mini", "mistral-small-latest"]


def routed(caller: Caller, path: str = AT, **fields: Any) -> dict[str, Any]:
    """A routed answer."""
    more = {} if path == AT else {"model": "auto"}
    answer = caller.post(path, {**SEED, **more, **fields})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def refused(caller: Caller, path: str = AT, **fields: Any) -> tuple[int, str | None]:
    """Status and param of a refusal."""
    answer = caller.post(path, {**SEED, **fields})
    return answer.status_code, answer.get_json()["error"]["param"]


def chunks(caller: Caller, path: str, **fields: Any) -> list[dict[str, Any]]:
    answer = caller.post(path, {**SEED, "stream": True, **fields})
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]", answer.text
    return [orjson.loads(line.removeprefix("data: ")) for line in lines[:-1]]
