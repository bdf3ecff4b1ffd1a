import io
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from app.errors import InvalidRequest, TooLarge, UnsupportedEncoding
from app.web.body import body_hash, read_body, read_bytes

LIMIT = 100
FRONT: Any = SimpleNamespace(settings=SimpleNamespace(body_limit=LIMIT))


@pytest.fixture
def app() -> Flask:
    made = Flask("test")
    made.config["MAX_CONTENT_LENGTH"] = LIMIT
    return made


def read(app: Flask, data: bytes = b"{}", **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context("/", method="POST", data=data, headers=named):
        return read_body(FRONT)


def read_chunks(app: Flask, data: bytes) -> bytes:
    """As `read`, of a body whose length is not told."""
    environ = {"wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True}
    with app.test_request_context("/", method="POST", environ_overrides=environ):
        return read_body(FRONT)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json;",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_json_is_read_under_its_names(app: Flask, kind: str) -> None:
    assert read(app, b'{"a": 1}', Content_Type=kind) == b'{"a": 1}'


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/jsonp",
        "application/json, text/xml",
        "json",
    ],
)
def test_what_is_said_to_be_something_else_is_not_read(app: Flask, kind: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="application/json"):
        read(app, Content_Type=kind)


def test_a_compressed_body_is_not_read(app: Flask) -> None:
    assert read(app, Content_Encoding="identity") == b"{}"
    with pytest.raises(UnsupportedEncoding, match="Compressed"):
        read(app, Content_Encoding="gzip")


def test_a_body_is_guarded_and_none_is_none(app: Flask) -> None:
    assert read(app, b"") == b""
    with pytest.raises(InvalidRequest, match="'a' twice"):
        read(app, b'{"a":1,"a":2}')


def test_what_is_no_json_is_read_as_bytes(app: Flask) -> None:
    with app.test_request_context("/", method="POST", data=b"\0", content_type="image/png"):
        assert read_bytes(LIMIT) == b"\0"


def test_a_body_has_a_limit_however_its_length_is_told(app: Flask) -> None:
    fits = b'"' + b"x" * (LIMIT - 3) + b'"'
    assert read(app, fits + b" ") == fits + b" "
    assert read_chunks(app, fits) == fits
    with pytest.raises(TooLarge):
        read(app, fits + b"  ")
    # The beginning alone would be JSON.
    for more in (b" ", b"  ", b" " * LIMIT, b"} garbage"):
        with pytest.raises(TooLarge):
            read_chunks(app, fits + b" " + more)


@pytest.mark.parametrize(
    "again",
    [b'{"a":{"b":1,"c":[2,"\xc3\xbc"]},"d":null}', b'{"d":null, "a":{"c":[2,"\\u00fc"],"b":1}}\n'],
)
def test_a_body_that_is_written_otherwise_is_the_same(again: bytes) -> None:
    assert body_hash(again) == body_hash(b'{"a": {"b": 1, "c": [2, "\xc3\xbc"]}, "d": null}')


@pytest.mark.parametrize(
    "other", [b'{"a":[2,1]}', b'{"a":[1,2.0]}', b'{"a":[1,2],"b":null}', b"", b"\0"]
)
def test_another_body_is_another(other: bytes) -> None:
    assert body_hash(other) != body_hash(b'{"a":[1,2]}')
