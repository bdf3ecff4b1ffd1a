"""What tests of batches send and read, and what serves them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import gevent
from werkzeug.test import TestResponse

from app.batches.dispatch import Dispatcher
from app.db.connect import line_connection
from app.settings import Settings
from tests.app.events.parts import until
from tests.app.web.doors import Caller
from tests.workers.chores.conftest import closed
from workers.chores.registry import CHORES
from workers.inference.desk import Desk

AT = "/v1/batches"
CHAT = "/v1/chat/completions"
CREDIT = 10**9
CATALOGUE = """
providers: {sim: {kind: sim}}
models:
  priced: {price: {input: 1, output: 2}, routes: [{provider: sim, model: sim}]}
  full: {price: {input: 1, output: 2}, batch_factor: 1, routes: [{provider: sim, model: sim}]}
"""


@contextmanager
def batch_worker(settings: Settings) -> Iterator[Desk]:
    """A worker of lane batch, and the dispatcher."""
    desk, dispatcher = Desk(settings, "batch", CHORES), Dispatcher(settings)

    def serve() -> None:
        with line_connection(settings.postgres, "batches") as connection:
            while True:
                dispatcher.round(connection)
                gevent.spawn(desk.answer, "batch", 16)
                gevent.sleep(0.005)

    greenlet = gevent.spawn(serve)
    yield desk
    greenlet.kill()
    closed(desk)


def body(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "priced", "messages": [{"role": "user", "content": text}], **more}


def failing(code: str = "500") -> dict[str, Any]:
    return body(metadata={"sim_status": code})


def line(custom_id: str, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": asked, **more}


def jsonl(*lines: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def upload(caller: Caller, content: bytes, purpose: str = "batch") -> str:
    form = {"purpose": purpose, "file": (BytesIO(content), "in.jsonl", "application/jsonl")}
    answer = caller.open("/v1/files", "POST", data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["id"])


def batch_of(caller: Caller, content: bytes, endpoint: str = CHAT) -> dict[str, Any]:
    asked = {
        "input_file_id": upload(caller, content), "endpoint": endpoint, "completion_window": "24h",
    }  # fmt: skip
    return told(caller.post(AT, asked))


def told(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def ended(caller: Caller, batch_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = told(caller.get(f"{AT}/{batch_id}"))
        return found if found["status"] in ("completed", "failed", "expired", "cancelled") else None

    until(lambda: look() is not None)
    return look() or {}


def lines_of(caller: Caller, file_id: str) -> list[dict[str, Any]]:
    answer = caller.get(f"/v1/files/{file_id}/content")
    assert answer.status_code == 200, answer.text
    return [json.loads(one) for one in answer.data.splitlines()]
