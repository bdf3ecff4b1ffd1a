"""The reader of request heads."""

import io

import pytest

from app.web.server import LINE_MAX, LINES_MAX, Head


def head(text: bytes) -> Head:
    return Head(io.BytesIO(text), 0)


def test_reads_what_pywsgi_asks_for() -> None:
    read = head(b"Host: a\r\nContent-Type:  text/x \r\nX-A: 1\r\nX-A: 2\r\n\r\nbody")
    assert read.status == ""
    assert read.get("HOST") == "a"
    assert read.typeheader == "text/x"
    assert read.getheader("x-none", "d") == "d"
    assert read.headers[2:] == ["X-A: 1\r\n", "X-A: 2\r\n"]


def test_a_length_can_be_dropped() -> None:
    read = head(b"Content-Length: 3\r\n\r\n")
    del read["content-length"]
    assert read.get("Content-Length") is None


@pytest.mark.parametrize(
    "text",
    [
        b"Host: a\r\n folded\r\n\r\n",
        b"Host : a\r\n\r\n",
        b"no colon\r\n\r\n",
        b": nameless\r\n\r\n",
        b"A\0B: x\r\n\r\n",
        b"A: x\0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Content-Length: 1_0\r\n\r\n",
        b"Content-Length: +1\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 9999999999999999999\r\n\r\n",
        b"A: " + b"x" * LINE_MAX + b"\r\n\r\n",
        b"A: x\r\n" * (LINES_MAX + 1) + b"\r\n",
        b"Host: cut",
        b"Host: a\r\n",
    ],
    ids=range(18),
)
def test_refuses_what_http_forbids(text: bytes) -> None:
    assert head(text).status
