"""What no client should send is refused, or its connection closed, and others notice nothing."""

import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from app.settings import Settings
from app.web.body import BODY_TIMEOUT_S
from app.web.json_guard import DEPTH_MAX
from app.web.server import LINGER_S
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

MB = 1_000_000
BODY_LIMIT = Settings.model_fields["body_limit"].default
FLOODS = 6
REFUSED = {400, 408, 413, 414, 415, 431}
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}


class Rough:
    """A client that writes its requests byte by byte."""

    def __init__(self, stack: Stack) -> None:
        self._key = stack.key
        self._socket = socket.create_connection(("127.0.0.1", stack.port), 30)

    def head(self, *lines: str, method: str = "POST", path: str = CHAT) -> None:
        first = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {self._key}")
        self.send("\r\n".join((*first, *lines, "", "")).encode("latin-1"))

    def send(self, data: bytes) -> bool:
        """Whether the server still takes it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def status(self, seconds: float = 30) -> int | None:
        """The status of the answer; None where the connection was closed without one."""
        self._socket.settimeout(seconds)
        told = b""
        try:
            while b"\r\n" not in told:
                data = self._socket.recv(65536)
                if not data:
                    return None
                told += data
        except ConnectionError:
            return None
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", told)
        assert found, told
        return int(found[1])

    def ended(self, seconds: float) -> bool:
        """Whether the server closes the connection within this time."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def rough(stack: Stack) -> Iterator[Rough]:
    with closing(Rough(stack)) as client:
        yield client


@pytest.fixture(autouse=True)
def unharmed(stack: Stack) -> Iterator[None]:
    """After each test the same web processes serve as before, and have logged no error."""
    before = {process.pid for process in web_processes(stack)}
    said = len(stack.log.read_text())
    yield
    with stack.client() as client:
        assert client.post("/chat/completions", json=HELLO).status_code == 200
    assert {process.pid for process in web_processes(stack)} == before
    assert "unexpected error" not in stack.log.read_text()[said:]


def web_processes(stack: Stack) -> list[psutil.Process]:
    return psutil.Process(stack.pid("web")).children()


def resident(stack: Stack) -> int:
    return sum(process.memory_info().rss for process in web_processes(stack))


def chunked(total: int, size: int = 64_000) -> Iterator[bytes]:
    part = b"%x\r\n%b\r\n" % (size, b" " * size)
    for _ in range(total // size):
        yield part
    yield b"0\r\n\r\n"


def test_a_hundred_megabytes_in_chunks_are_refused_and_leave_no_trace(stack: Stack) -> None:
    first = max(flood(stack) for _ in range(FLOODS))
    more = max(flood(stack) for _ in range(FLOODS))
    # What the allocator keeps of one body for the next differs by process and moment; bodies
    # that were kept would be FLOODS times BODY_LIMIT more.
    assert more - first < FLOODS * BODY_LIMIT / 2


def flood(stack: Stack) -> int:
    """Sends 100 MB in chunks, or as much as the server takes; its memory meanwhile, at most."""
    peak = 0
    with closing(Rough(stack)) as rough:
        rough.head("Transfer-Encoding: chunked", "Content-Type: application/json")
        for number, part in enumerate(chunked(100 * MB)):
            if not rough.send(part):
                break
            if number % 50 == 0:
                peak = max(peak, resident(stack))
        assert rough.status() in (413, None)
    return peak


def test_a_hundred_megabytes_of_a_told_length_are_refused_unread(rough: Rough) -> None:
    rough.head(f"Content-Length: {100 * MB}", "Content-Type: application/json")
    assert rough.status(5) == 413
    begun = time.monotonic()
    while rough.send(b" " * MB) and time.monotonic() - begun < 30 * LINGER_S:
        pass
    assert time.monotonic() - begun < 15 * LINGER_S


def test_a_body_is_refused_before_it_is_sent(rough: Rough) -> None:
    rough.head(f"Content-Length: {100 * MB}", "Expect: 100-continue")
    assert rough.status(5) == 413
    assert rough.ended(1)


def test_a_strangers_body_is_not_read_for_long(stack: Stack) -> None:
    with closing(Rough(stack)) as rough:
        rough._key = "pk_live_nobody"
        rough.head("Content-Length: 1000000")
        rough.send(b"[")
        assert rough.status(5) == 401
        assert rough.ended(LINGER_S + 3)


def test_slow_and_half_sent_bodies_end_and_hold_up_nobody(stack: Stack) -> None:
    slow = [Rough(stack) for _ in range(40)]
    for number, client in enumerate(slow):
        length = "Transfer-Encoding: chunked" if number % 2 else "Content-Length: 1000"
        client.head(length, "Content-Type: application/json")
        client.send(b"1\r\n{\r\n" if number % 2 else b"{")
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.5):
            for client in slow[::4]:
                client.send(b" ")

    dripping = threading.Thread(target=drip)
    dripping.start()
    begun, waits = time.monotonic(), []
    with stack.client() as others:
        while time.monotonic() - begun < BODY_TIMEOUT_S - 1:
            asked = time.monotonic()
            assert others.post("/chat/completions", json=HELLO).status_code == 200
            waits.append(time.monotonic() - asked)
    told = [client.status(10) for client in slow]
    stop.set()
    dripping.join()
    assert set(told) <= {408, 400}
    assert told.count(408) >= 20
    assert len(waits) > 20
    assert max(waits) < BODY_TIMEOUT_S / 2
    for client in slow:
        assert client.ended(LINGER_S + 3)
        client.close()


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_is_cut_is_refused(rough: Rough, length: str) -> None:
    rough.head(length, "Content-Type: application/json")
    rough.send(b'3e8\r\n{"messages": [')
    rough.end()
    assert rough.status() in (400, None)


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: chunked", "Content-Length: x"),
        ("Content-Length: -1",),
        ("Content-Length: 1_0",),
        ("Content-Length: +2",),
        ("Content-Length: " + "9" * 30,),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("X-Long: " + "x" * 100_000,),
        tuple(f"X-{number}: y" for number in range(200)),
        ("No colon",),
        ("X-Zero: \0",),
        ("X-Folded: a", " b"),
        ("Content-Encoding: gzip", "Content-Length: 2"),
        ("Content-Type: multipart/form-data; boundary=x", "Content-Length: 2"),
        ("Content-Type: application/json; charset=utf-16", "Content-Length: 2"),
        ("Content-Type: text/xml", "Content-Length: 2"),
    ],
)
def test_a_head_that_cannot_be_meant_is_refused(rough: Rough, lines: tuple[str, ...]) -> None:
    rough.head(*lines)
    rough.send(b"{}")
    assert rough.status() in {*REFUSED, None}


@pytest.mark.parametrize(
    "size", ["zz", "-1", "0x10", "FFFFFFFFFFFFFFFFFF", "1" * 100, "5;" + "x" * 9000]
)
def test_a_chunk_without_a_size_is_refused(rough: Rough, size: str) -> None:
    rough.head("Transfer-Encoding: chunked", "Content-Type: application/json")
    rough.send(size.encode() + b"\r\n{}   \r\n0\r\n\r\n")
    assert rough.status() in {*REFUSED, None}


@pytest.mark.parametrize(
    "line",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST / / HTTP/1.1",
        b"\xff\xfe / HTTP/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(rough: Rough, line: bytes) -> None:
    rough.send(line + b"\r\nHost: x\r\n\r\n")
    assert rough.status() in {*REFUSED, 404, 405, 505, None}


WRONG = {
    "nested": b'{"messages":' + b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1) + b"}",
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "nan": b'{"temperature":NaN}',
    "infinity": b'{"temperature":-Infinity}',
    "beyond a double": b'{"temperature":1e999}',
    "a name twice": b'{"model":"a","model":"a"}',
    "a lone surrogate": rb'{"model":"\ud800"}',
    "zero": rb'{"model":"\u0000"}',
    "raw zero": b'{"model":"\0"}',
    "no utf-8": b'{"model":"\xff"}',
    "a mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"model":"a"}'.encode("utf-16"),
    "more than one": b"{}{}",
    "cut": b'{"model"',
    "digits": b"9" * 100_000,
}


def posts(client: httpx.Client, base: str) -> Iterable[str]:
    """The paths of all POSTs, with ids that nobody has."""
    told = client.get(f"{base}/openapi.json").json()["paths"]
    for path, methods in told.items():
        if "requestBody" in methods.get("post", {}):
            yield base + re.sub(r"{\w+}", "nobody", path)


@pytest.mark.parametrize("name", WRONG)
def test_json_that_is_none_is_refused_everywhere(stack: Stack, name: str) -> None:
    base = stack.base_url.removesuffix("/v1")
    tried = 0
    with stack.client({"Content-Type": "application/json"}) as client:
        for url in posts(client, base):
            answer = client.post(url, content=WRONG[name])
            if answer.status_code in (403, 404, 415, 429):
                # An operator's, about somebody who is not there, or not JSON at all.
                continue
            assert answer.status_code == 400, f"{url}: {answer.text}"
            assert set(answer.json()["error"]) >= {"message", "type"}
            tried += 1
    assert tried >= 10


TEXTS = [
    "%00", "%ff", "%ed%a0%80", "%", "%zz", "%2e%2e%2f", quote("\u202e\U0001f600"), "9" * 5000,
    "-1", "1e999", "\u0663".encode().hex("%", 1), "%c2%b2", "' OR 1=1", "nan", "%0d%0aX-A:%20b",
]  # fmt: skip
QUERIES = [
    "/v1/jobs?limit={}", "/v1/jobs?after={}", "/v1/jobs?status={}", "/v1/keys?limit={}",
    "/v1/keys?after={}", "/v1/audit?after={}", "/v1/usage?from={}", "/v1/usage?app_id={}",
    "/v1/usage?group_by={}", "/v1/usage/history?limit={}", "/v1/usage/history?min_cost_usd={}",
    "/v1/usage/history?after={}", "/v1/billing/entries?after={}", "/v1/billing/entries?limit={}",
    "/v1/billing/statement?month={}", "/v1/usage/prices/{}", "/v1/models/{}", "/v1/keys/{}",
    "/v1/jobs/{}", "/v1/jobs/{}/events", "/v1/jobs/nobody/events?starting_after={}",
    "/v1/budgets/{}", "/v1/apps/{}", "/v1/webhook_endpoints/{}", "/v1/data/deletions/{}",
    "/{}", "/v1/{}", "/docs?{}", "/openapi.json?{}={}",
]  # fmt: skip
HEADERS = [
    "Idempotency-Key", "X-App-ID", "Last-Event-ID", "Prefer", "Accept", "X-Cache-TTL",
    "If-None-Match", "Cookie", "X-Forwarded-For", "Range", "Content-Type",
]  # fmt: skip


def test_no_text_in_an_address_breaks_the_server(stack: Stack) -> None:
    for form in QUERIES:
        for text in TEXTS:
            with closing(Rough(stack)) as rough:
                rough.head(method="GET", path=form.replace("{}", text.replace(" ", "+")))
                status = rough.status()
                assert status is None or status < 500, (form, text[:30])


@pytest.mark.parametrize("name", HEADERS)
def test_no_text_in_a_header_breaks_the_server(stack: Stack, name: str) -> None:
    body = b'{"messages":[{"role":"user","content":"Hi"}],"background":true}'
    for text in [*TEXTS, "", "\xff\xfe", "x" * 16_000, ",;=\"'\\", "wait=99999", "*/*;q=9" * 100]:
        for method, path, length in (
            ("POST", CHAT, len(body)), ("GET", "/v1/jobs/nobody/events", 0),
            ("GET", "/v1/billing/statement", 0), ("GET", "/openapi.json", 0),
        ):  # fmt: skip
            with closing(Rough(stack)) as rough:
                rough.head(f"{name}: {text}", f"Content-Length: {length}", method=method, path=path)
                rough.send(body[:length])
                status = rough.status()
                assert status is None or status < 500, (method, path, text[:30])
