"""An answer with a web chat, and what the page behind its link asks for."""

import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.db.connect import Connection
from app.ids import new_id
from tests.app.events.parts import until

CHAT = "/v1/chat/completions"
SAYS = [{"role": "system", "content": "Keep it secret."}, {"role": "user", "content": "Moon?"}]
ASKED: dict[str, Any] = {
    "model": "builtin/sim",
    "stop": ["never"],
    "messages": SAYS,
    "include_web_chat": True,
    "max_tokens": 64,
    "metadata": {"sim_tokens": "4"},
}
SAME = {"Sec-Fetch-Site": "same-origin"}


def link(answer: TestResponse) -> str:
    """The path of the web chat that an answer tells."""
    assert answer.status_code == 200, answer.text
    told = answer.get_json()["web_chat"]
    assert re.fullmatch(r"http://localhost/chat/[\w-]{43}", told["url"]), told
    return str(told["url"]).removeprefix("http://localhost")


class Page:
    """What the page of a web chat asks for."""

    def __init__(self, app: Flask, path: str) -> None:
        self.path, self.client = path, app.test_client()

    def get(self, below: str = "", **headers: str) -> TestResponse:
        return self.client.get(self.path + below, headers={**SAME, **headers})

    def post(self, below: str, body: Any = None, **headers: str) -> TestResponse:
        return self.client.post(self.path + below, json=body, headers={**SAME, **headers})

    def say(self, text: str, key: str | None = None) -> TestResponse:
        return self.post("/messages", {"content": text}, **{"Idempotency-Key": key or new_id("k")})

    def messages(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self.get("/messages").get_json()["messages"]
        return told

    def answered(self) -> dict[str, Any]:
        """The last message, once it is a whole answer."""

        def last() -> dict[str, Any] | None:
            message = self.messages()[-1]
            return message if message["status"] != "in_progress" else None

        return until(last) or {}


def only(connection: Connection, column: bytes) -> Any:
    [[value]] = connection.execute(b"SELECT " + column + b" FROM web_chat").fetchall()
    return value


def set_chat(connection: Connection, change: bytes) -> None:
    assert connection.execute(b"UPDATE web_chat SET " + change).rowcount == 1
