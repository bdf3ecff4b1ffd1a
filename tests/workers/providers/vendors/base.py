"""What the conformance suite needs of a vendor, and a local server that plays it.

To plug a vendor in, write a module beside this one with a class that has the members of `Vendor`
and a tuple `VENDORS` of its instances. All forms come from the vendor's API description and never
from the adapter: a mistake that both share would pass. The suite speaks OpenAI's form on both ends:
it says what the vendor answers as a `Said`, which `whole` and `frames` write in the vendor's own
form, and checks what it was asked as a `Heard`, which `heard` reads back out of the vendor's form.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import gevent
import httpx

from tests.workers.providers.server import Peer, Server
from workers.providers.base import Provider

KEY = "key-of-the-platform"
MODEL = "their-model"
EVENTS = "text/event-stream"


VECTORS = [[0.5, -0.25, 0.125], [1.0, 0.0, -2.0]]
"""What every vendor's embedding model makes of the two inputs."""

IMAGE = b"\x89PNG\r\n\x1a\n of a moon"
AUDIO = b"RIFF\x24\x00\x00\x00WAVE \r\n--\xff\x00"

OPERATIONS: Mapping[str, dict[str, Any]] = {
    "embedding": {"input": ["first", "second"]},
    "image": {"prompt": "a moon", "n": 1},
    "transcription": {
        "file": {"name": "moon.wav", "content_type": "audio/wav",
                 "data": b64encode(AUDIO).decode()},
        "language": "en",
    },
}  # fmt: skip
"""The request of each operation that is no conversation, as the worker gives it to an adapter."""


@dataclass(frozen=True, slots=True)
class ToolSaid:
    """A tool call in an answer; `pieces` of its JSON arguments, as they are streamed."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class UsageSaid:
    """OpenAI's counts: `prompt` includes `cached`, `completion` includes `reasoning`."""

    prompt: int = 21
    cached: int = 8
    completion: int = 13
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: pieces of text, of thoughts before it, tool calls after it. `finish` is the
    vendor's own word for why it ended, None for its usual one; `usage` None where none is told."""

    texts: tuple[str, ...] = ("Moon", "light is é \U0001f319", " slow.")
    thoughts: tuple[str, ...] = ()
    tools: tuple[ToolSaid, ...] = ()
    finish: str | None = None
    usage: UsageSaid | None = field(default_factory=UsageSaid)

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the vendor was asked, put back into OpenAI's form.

    `messages`: `role` and `content` (a string, or parts where one is no text), `tool_calls`,
    `tool_call_id`. `fields`: all that the vendor was told beside model, messages and streaming,
    under OpenAI's names; defaults that an adapter must set itself are left out, but
    `max_completion_tokens` is always under `max_tokens`.
    """

    model: str
    key: str
    streamed: bool
    messages: list[dict[str, Any]]
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire; names of headers are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes over the wire. Each of `parts` is written by itself and is a read of
    its own at the other end; `end`: `whole`, `cut` (the connection closes before the body has
    ended), or `stall` (it stays open and nothing more comes)."""

    parts: tuple[bytes, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    end: Literal["whole", "cut", "stall"] = "whole"


class Vendor(Protocol):
    """A vendor's wire format.

    `kind` is that of the catalogue. `finishes`: each of the vendor's words for why an answer
    ended, with the finish reason that it must become; the words for tool calls are left out.
    `thinks`: whether it streams what it thinks. `counts_reasoning`: whether its usage tells how
    much it thought. `keeps_ids`: whether it keeps the ids of tool calls.
    """

    name: str
    kind: str
    finishes: Mapping[str, str]
    thinks: bool
    counts_reasoning: bool
    keeps_ids: bool

    def provider(self, transport: httpx.BaseTransport, url: str, key: str) -> Provider:
        """The adapter under test at a base URL without a slash at its end."""

    def whole(self, said: Said) -> bytes:
        """The body of an answer that is not streamed."""

    def frames(self, said: Said) -> list[bytes]:
        """The server-sent events of a stream, each with its blank line (LF), the last one too."""

    def error(self, status: int, message: str) -> bytes:
        """The body that comes with a status other than 200."""

    def error_frame(self, message: str) -> bytes:
        """The event that tells of a failure in mid-stream."""

    def heard(self, request: Request) -> Heard:
        """What a request for a chat completion asked for."""

    def answer(self, operation: str) -> Reply:
        """The answer to the operation's request in `OPERATIONS`; only for those of the kind."""

    def asked(self, operation: str, request: Request) -> dict[str, Any]:
        """What a request for an operation asked for, in OpenAI's form, without its model."""


def events(frames: list[bytes], end: Literal["whole", "cut", "stall"] = "whole") -> Reply:
    """A stream in which each frame is a part."""
    return Reply(tuple(frames), content_type=EVENTS, end=end)


def cut(raw: bytes, size: int) -> tuple[bytes, ...]:
    """Bytes in parts of `size`, wherever that cuts lines and characters."""
    return tuple(raw[at : at + size] for at in range(0, len(raw), size))


@contextmanager
def playing(*replies: Reply) -> Iterator[Server]:
    """A server that gives these replies to the requests that come, in order, the last again."""
    left = list(replies)

    def talk(peer: Peer) -> None:
        while True:
            peer.read()
            reply = left.pop(0) if len(left) > 1 else left[0]
            _send(peer, reply)
            if reply.end == "stall":
                return
            if reply.end == "cut":
                peer.sock.close()
                return

    with Server(talk) as server:
        yield server


def _send(peer: Peer, reply: Reply) -> None:
    told = {"Content-Type": reply.content_type, **reply.headers}
    head = [f"HTTP/1.1 {reply.status} Said", "Transfer-Encoding: chunked"]
    head += [f"{name}: {value}" for name, value in told.items()]
    peer.send("\r\n".join(head).encode("latin-1") + b"\r\n\r\n")
    for part in filter(None, reply.parts):
        peer.send(b"%x\r\n%b\r\n" % (len(part), part))
        gevent.sleep(0)
    if reply.end == "whole":
        peer.send(b"0\r\n\r\n")


def base_url(server: Server) -> str:
    """The address of a server without any path."""
    return str(httpx.URL(server.url).copy_with(path="/")).rstrip("/")


def requests(server: Server) -> list[Request]:
    """All that a server was asked."""
    return [_request(raw) for raw in server.requests]


def _request(raw: bytes) -> Request:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(": ") for line in lines)
    return Request(method, path, {name.lower(): value for name, _, value in pairs}, body)
