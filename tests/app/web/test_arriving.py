"""Forms that are read as they arrive."""

from collections.abc import Callable, Iterator
from io import BytesIO

import gevent
import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.exceptions import ClientDisconnected

from app.errors import BodyTooSlow, InvalidRequest, MoonpoolError, TooLarge, UnsupportedEncoding
from app.web import arriving
from app.web.arriving import BOUNDARY_MAX, READ_BYTES, Begun, Part, Text, form_parts
from app.web.forms import FIELDS_BYTES_MAX, FIELDS_MAX

APP = Flask("test")
LIMIT = 1_000_000
KIND = "multipart/form-data; boundary=edge"


class Pieces:
    """A body that comes in pieces of at most so many bytes."""

    def __init__(self, body: bytes, most: int = READ_BYTES) -> None:
        self._left, self._most = BytesIO(body), most
        self.read_bytes = 0

    def read(self, size: int) -> bytes:
        assert size <= READ_BYTES
        piece = self._left.read(min(size, self._most))
        self.read_bytes += len(piece)
        return piece


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    told = f'form-data; name="{name}"'
    if filename is not None:
        told += f'; filename="{filename}"\r\nContent-Type: text/plain'
    return b"--edge\r\nContent-Disposition: %b\r\n\r\n%b\r\n" % (told.encode(), value)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def arriving_form(
    source: Pieces, length: int | None = None, kind: str = KIND, **headers: str
) -> Iterator[Part]:
    """The parts of a form, whose length is not told unless it is given."""
    environ = {"wsgi.input": source, "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(length)}
    if length is None:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with APP.test_request_context("/", method="POST", headers=named, environ_overrides=environ):
        yield from form_parts("file", LIMIT)


def read(body: bytes, length: int | None = None, kind: str = KIND) -> list[Part]:
    return list(arriving_form(Pieces(body), len(body) if length is None else length, kind))


def told(parts: list[Part]) -> tuple[list[Part], bytes]:
    """What is no content, in order; and the content."""
    content = b"".join([one for one in parts if isinstance(one, bytes)])
    return [one for one in parts if not isinstance(one, bytes)], content


@given(
    content=st.binary(max_size=200).map(lambda b: b.replace(b"\x01", b"\r\n--edg")),
    most=st.integers(1, 70),
    before=st.booleans(),
)
@example(content=b"", most=1, before=True)
@example(content=b"x" * 10, most=17, before=False)
def test_a_form_is_the_same_however_it_comes(content: bytes, most: int, before: bool) -> None:
    field, file = part("purpose", "vö\r\n".encode()), part("file", content, "a.txt")
    body = form(field, file) if before else form(file, field)
    parts, came = told(list(arriving_form(Pieces(body, most))))
    expected: list[Part] = [Text("purpose", "vö\r\n"), Begun("file", "a.txt", "text/plain")]
    assert parts == (expected if before else expected[::-1])
    assert came == content


def test_content_is_passed_on_while_it_comes() -> None:
    body = Pieces(form(part("file", b"x" * 900_000, "a.txt")))
    passed = 0
    for one in arriving_form(body):
        if isinstance(one, bytes):
            assert len(one) <= 2 * READ_BYTES
            passed += len(one)
            assert body.read_bytes <= passed + 2 * READ_BYTES
    assert passed == 900_000


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (form(), InvalidRequest, "file"),
        (form(part("purpose", b"batch")), InvalidRequest, "file"),
        (form(part("file", b"text")), InvalidRequest, "file"),
        (form(part("image", b"x", "a.png")), InvalidRequest, "image"),
        (form(part("file", b"a", "a"), part("file", b"b", "b")), InvalidRequest, "file"),
        (form(part("file", b"a", "a"), part("p", b"\0")), InvalidRequest, "p"),
        (form(part("", b"a")), InvalidRequest, None),
        (b"--edge\r\nContent-Type: text/plain\r\n\r\nx\r\n--edge--\r\n", InvalidRequest, None),
        (part("file", b"a", "a"), InvalidRequest, None),
        (b"no form", InvalidRequest, None),
        (form(part("file", b"x" * (LIMIT + 1), "a")), TooLarge, "file"),
        (form(part("p", b"x" * (FIELDS_BYTES_MAX + 1))), TooLarge, "p"),
        (form(*[part(f"p{n}", b"x") for n in range(FIELDS_MAX + 1)]), TooLarge, None),
        (b"x" * 500_000, TooLarge, None),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_wrong_is_named(body: bytes, kind: type[MoonpoolError], param: str | None) -> None:
    with pytest.raises(kind) as raised:
        read(body)
    assert raised.value.param == param


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/mixed; x=y"]
)
def test_what_is_no_form_is_not_read(kind: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        read(form(part("file", b"x", "a")), kind=kind)


def test_a_compressed_form_is_not_read() -> None:
    with pytest.raises(UnsupportedEncoding, match="Compressed"):
        list(arriving_form(Pieces(form()), Content_Encoding="gzip"))


def test_a_boundary_is_no_longer_than_it_may_be() -> None:
    long = "x" * BOUNDARY_MAX
    body = form(part("purpose", b"batch"), part("file", b"content", "a.txt"))
    body = body.replace(b"--edge", b"--" + long.encode())
    kind = f"multipart/form-data; boundary={long}"
    assert read(body, kind=kind) == [
        Text("purpose", "batch"),
        Begun("file", "a.txt", "text/plain"),
        b"content",
    ]
    with pytest.raises(InvalidRequest, match="boundary"):
        read(body, kind=f"{kind}x")


def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TooLarge) as raised:
        read(b"", length=LIMIT + FIELDS_BYTES_MAX + 1)
    assert raised.value.param == "file"


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_form_that_is_cut_is_told_from_one_that_ends(cut: int) -> None:
    body = form(part("file", b"x" * 200, "a"))
    with pytest.raises(ClientDisconnected):
        read(body[:-cut], length=len(body))


def test_a_client_may_be_slow_but_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "FILE_IDLE_S", 0.2)
    body = form(part("file", b"x" * 200, "a"))

    def sending(pause: Callable[[int], float]) -> Pieces:
        class Slow(Pieces):
            def read(self, size: int) -> bytes:
                gevent.sleep(pause(self.read_bytes))
                return super().read(size)

        return Slow(body, most=40)

    assert told(list(arriving_form(sending(lambda _: 0.05))))[1] == b"x" * 200
    with pytest.raises(BodyTooSlow):
        list(arriving_form(sending(lambda came: 60 if came > 100 else 0)))
