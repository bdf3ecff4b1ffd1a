"""`/v1/chat/completions` with feeling and memory: what is refused, and what is set aside."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from tests.app.line import tenant
from tests.app.web.doors import Caller, web_process

CHAT = {"model": "lilly-emotional", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def app(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Iterator[Flask]:
    with web_process(line_settings()) as made:
        yield made


@pytest.fixture
def caller(app: Flask, connection: Connection) -> Caller:
    return Caller(app, connection, tenant(connection, 10**12))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"emotion_tracking": True, "session_id": "weather"}, "session_id"),
        ({"emotion_tracking": True, "session_id": "a/b"}, "session_id"),
        ({"emotion_tracking": True, "session_id": "x" * 129}, "session_id"),
        ({"emotion_style": "rude"}, "emotion_style"),
        ({"emotion_tracking": True, "extra_body": {"emotion_style": "rude"}}, "emotion_style"),
        ({"personality_traits": {"warm": 0.5, "curius": 0.5}}, "personality_traits.curius"),
        ({"personality_traits": {"warm": 1.5}}, "personality_traits.warm"),
        ({"emotion_tracking": "yes"}, "emotion_tracking"),
        ({"memory": {"recal": True}}, "memory.recal"),
        ({"memory": {"limit": 0}}, "memory.limit"),
        ({"memory": True, "user": "u" * 257}, "user"),
        ({"memory": True, "session_id": "s" * 257}, "session_id"),
        ({"memory": "yes"}, "memory"),
        ({"lunes": ["moon"], "lune_tokens": 0}, "lune_tokens"),
    ],
    ids=range(14),
)
def test_what_is_wrong_is_refused_by_its_field(
    caller: Caller, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post("/v1/chat/completions", {**CHAT, **fields})
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"extra_body": {"provider": "nobody"}}, "provider"),
        ({"model": "nothing", "provider": "builtin"}, "model"),
        ({"model": "nobody/builtin/eliza"}, "model"),
    ],
)
def test_a_provider_that_has_not_the_model_is_refused_by_its_own_field(
    caller: Caller, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post("/v1/chat/completions", {**CHAT, **fields})
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (404, "model_not_found")
    assert error["param"] == param
    assert str(fields.get(param, "nobody")) in error["message"]


def test_what_is_put_before_the_messages_is_held_for(
    caller: Caller, connection: Connection
) -> None:
    def held(**fields: Any) -> int:
        body = {**CHAT, "background": True, "max_tokens": 1, **fields}
        job_id = caller.post("/v1/chat/completions", body).get_json()["id"]
        row = connection.execute("SELECT hold FROM job WHERE id = %s", (job_id,)).fetchone()
        assert row is not None
        return int(row[0])

    plain, feels = held(), held(emotion_tracking=True)
    little, much = held(memory={"tokens": 100}), held(memory={"tokens": 10_000})
    assert plain < feels
    assert plain < little < much


def test_each_byte_of_a_prompt_is_held_for(caller: Caller, connection: Connection) -> None:
    def held(text: str) -> int:
        body = {**CHAT, "background": True, "messages": [{"role": "user", "content": text}]}
        answer = caller.open(
            "/v1/chat/completions", "POST", data=json.dumps(body, ensure_ascii=False).encode(),
            content_type="application/json",
        )  # fmt: skip
        job_id = answer.get_json()["id"]
        row = connection.execute("SELECT hold FROM job WHERE id = %s", (job_id,)).fetchone()
        assert row is not None
        return int(row[0])

    assert held("月" * 100) == held("moo" * 100) > held("m" * 100)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("café 月".encode(), "café 月"),
        ("café".encode("latin-1"), "café"),
        (" voilà ".encode(), "voilà"),
        (b"\xff" * 200, "ÿ" * 128),
    ],
    ids=["utf-8", "latin-1", "spaces of latin-1", "long"],
)
def test_an_app_is_the_text_that_its_header_has(caller: Caller, sent: bytes, kept: str) -> None:
    # As a WSGI server hands it over.
    header = {"X-App-ID": sent.decode("latin-1")}
    job = caller.post("/v1/chat/completions", {**CHAT, "background": True}, **header).get_json()
    assert caller.get(job["urls"]["self"]).get_json()["app_id"] == kept
