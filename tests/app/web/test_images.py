"""The door for images, with its workers, and the addresses of what they drew."""

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from flask import Flask

from app.db.connect import Connection
from app.jobs.store import forget
from app.settings import Settings
from app.vault import Vault
from app.web.pictures import LIVES_S, kind_of
from tests.app.events.parts import until
from tests.app.line import assert_proven, funds, transfers
from tests.app.web.doors import Caller, web_process, workers

PATH = "/v1/images/generations"
SMALL = {"prompt": "a moon", "size": "256x256"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with web_process(settings) as made, workers(settings):
        yield made


def image_in(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    [image] = answer.get_json()["data"]
    assert isinstance(image, dict)
    return image


@pytest.mark.parametrize("path", [PATH, "/images/generations"])
def test_images_are_made_and_charged_by_the_piece(
    caller: Caller, connection: Connection, mine: str, path: str
) -> None:
    answer = caller.post(path, {**SMALL, "n": 2, "model": "builtin/image"})
    body = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert abs(body["created"] - time.time()) < 10
    assert [base64.b64decode(one["b64_json"])[:8] for one in body["data"]] == [PNG, PNG]
    usage = body["usage"]
    assert (usage["images"], usage["input_tokens"], usage["total_tokens"]) == (2, 0, 0)
    assert usage["total_cost_usd"] == pytest.approx(0.004)
    spent = transfers(connection, answer.headers["x-job-id"])["settle"]
    assert spent == 4_000_000
    assert funds(connection, mine) == (10**9 - spent, 0)
    assert_proven(connection)


@pytest.mark.parametrize(
    ("form", "keys"),
    [("url", {"url"}), ("b64_json", {"b64_json"}), (None, {"url", "b64_json"})],
)
def test_an_image_is_told_in_the_form_asked_for(
    caller: Caller, form: str | None, keys: set[str]
) -> None:
    image = image_in(caller.post(PATH, {**SMALL, "response_format": form}))
    assert set(image) == keys


def test_an_address_opens_without_a_key(caller: Caller, app: Flask) -> None:
    image = image_in(caller.post(PATH, SMALL))
    assert image["url"].startswith("http://localhost/v1/images/")
    answer = app.test_client().get(urlsplit(image["url"]).path)
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data == base64.b64decode(image["b64_json"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].endswith('-0.png"')


def test_addresses_begin_with_the_public_one(
    connection: Connection, gevent_sockets: None, mine: str, line_settings: Callable[..., Settings]
) -> None:
    chosen = line_settings(public_url="https://api.example.com/")
    with web_process(chosen) as app, workers(chosen):
        image = image_in(Caller(app, connection, mine).post(PATH, SMALL))
    assert image["url"].startswith("https://api.example.com/v1/images/")


def test_an_address_lives_for_an_hour(
    caller: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = urlsplit(image_in(caller.post(PATH, SMALL))["url"]).path
    now = time.time()
    monkeypatch.setattr("app.web.pictures.time.time", lambda: now + LIVES_S - 5)
    assert app.test_client().get(path).status_code == 200
    monkeypatch.setattr("app.web.pictures.time.time", lambda: now + LIVES_S + 1)
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (404, "picture")


def test_an_address_ends_with_the_content_of_its_job(
    caller: Caller, app: Flask, connection: Connection
) -> None:
    made = caller.post(PATH, SMALL)
    path = urlsplit(image_in(made)["url"]).path
    assert forget(connection, [made.headers["x-job-id"]], None)
    assert app.test_client().get(path).status_code == 404


def test_what_is_not_such_an_address_is_not_there(
    caller: Caller, app: Flask, settings: Settings
) -> None:
    path = urlsplit(image_in(caller.post(PATH, SMALL))["url"]).path
    vault = Vault(settings)
    sealed = path.rpartition("/")[2]
    mark, *place, number, until_s = orjson.loads(vault.open(sealed))
    others: list[Any] = [
        ["secret", *place, number, until_s],
        [mark, *place, 1, until_s],
        [mark, "ten_other", place[1], number, until_s],
        [mark, place[0], "job_none", number, until_s],
        {"whsec": 1},
        7,
    ]
    wrong = [vault.seal(orjson.dumps(other)) for other in others]
    assert app.test_client().get(path).status_code == 200
    for name in ("x", sealed[:-1], sealed[:-2] + "AA", *wrong, vault.seal(b"not json"), "é"):
        assert app.test_client().get(f"/v1/images/{name}").status_code == 404, name


def test_a_background_job_shows_new_addresses(caller: Caller, app: Flask) -> None:
    asked = {**SMALL, "background": True, "response_format": "url"}
    accepted = caller.post(PATH, asked)
    assert accepted.status_code == 202, accepted.text
    job = accepted.get_json()
    assert job["kind"] == "image"
    until(lambda: caller.get(job["urls"]["self"]).get_json()["status"] == "completed")
    result = caller.get(job["urls"]["self"]).get_json()["result"]
    [image] = result["data"]
    assert set(image) == {"url"}
    assert app.test_client().get(urlsplit(image["url"]).path).data[:8] == PNG
    assert result["usage"]["images"] == 1


def test_a_background_of_the_picture_is_not_one_of_the_job(caller: Caller) -> None:
    assert caller.post(PATH, {**SMALL, "background": "opaque"}).status_code == 200
    refused = caller.post(PATH, {**SMALL, "background": "transparent"})
    assert refused.status_code == 400
    assert refused.get_json()["error"]["param"] == "background"
    both = {**SMALL, "background": "opaque", "extra_body": {"background": True}}
    assert caller.post(PATH, both).status_code == 200
    alone = {**SMALL, "extra_body": {"background": True}}
    assert caller.post(PATH, alone).status_code == 202


def test_the_same_key_gives_the_same_images(caller: Caller, connection: Connection) -> None:
    first = caller.post(PATH, SMALL, **{"Idempotency-Key": "k"})
    again = caller.post(PATH, SMALL, **{"Idempotency-Key": "k"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["x-job-id"] == first.headers["x-job-id"]
    assert image_in(again)["b64_json"] == image_in(first)["b64_json"]
    assert_proven(connection)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"n": 11}, "n"),
        ({"n": 0}, "n"),
        ({"size": "huge"}, "size"),
        ({"size": "2048x2048"}, "size"),
        ({"output_format": "webp"}, "output_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 80}, "output_compression"),
        ({"response_format": "png"}, "response_format"),
        ({"background": "blue"}, "background"),
        ({"background": 1}, "background"),
        ({"stream": True}, "stream"),
        ({"partial_images": 2}, "partial_images"),
        ({"steps": 4}, "steps"),
        ({"asked": {}}, "asked"),
        ({"model": "builtin/sim"}, "model"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(
    caller: Caller, connection: Connection, fields: dict[str, Any], param: str
) -> None:
    answer = caller.post(PATH, SMALL | fields)
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"]["param"] == param
    assert_proven(connection)


def test_a_chat_with_a_model_of_images_is_refused(caller: Caller) -> None:
    chat = {"model": "builtin/image", "messages": [{"role": "user", "content": "Hello"}]}
    answer = caller.post("/v1/chat/completions", chat)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG + b"...", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WAVE", ""),
        (b"<svg onload=alert(1)>", ""),
        (b"", ""),
    ],
)
def test_only_images_are_shown_as_such(content: bytes, kind: str) -> None:
    assert kind_of(content) == kind
