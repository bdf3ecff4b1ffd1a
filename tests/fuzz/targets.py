"""What is fuzzed: each target takes any bytes and raises only when it found something.

The bytes begin with one that says how the rest is cut into reads, where it comes in reads.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
from pydantic import BaseModel, ValidationError

from app.catalogue.tokens import estimate_tokens
from app.dialects.completions import chat_request as of_completion
from app.dialects.messages.request import chat_request as of_message
from app.dialects.responses.request import chat_request as of_response
from app.errors import InvalidRequest
from app.events.log import parse_id
from app.web.chat import chat_asked
from app.web.json_guard import DEPTH_MAX, check_json
from app.web.problems import invalid
from app.web.schemas.accounts import NewKeyBody, NewTenantBody, RefundBody
from app.web.schemas.billing import EntriesQuery, NewBudgetBody, StatementQuery
from app.web.schemas.chat import ChatRequest
from app.web.schemas.completions import CompletionRequest
from app.web.schemas.data import DeletionRequest
from app.web.schemas.embeddings import EmbeddingsRequest
from app.web.schemas.images import ImageRequest
from app.web.schemas.messages import MessageRequest
from app.web.schemas.responses import ResponseRequest
from app.web.schemas.usage import HistoryQuery, UsageQuery
from app.web.schemas.webhooks import NewEndpointBody
from app.web.server import Head
from workers.providers.anthropic import Anthropic
from workers.providers.base import Call, Provider, ProviderError
from workers.providers.collect import Collector
from workers.providers.gemini import Gemini
from workers.providers.openai import OpenAI
from workers.providers.wire import Frames

Target = Callable[[bytes], None]

REQUEST = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


class _Reads(httpx.SyncByteStream):
    """A body that comes in reads of `size` bytes."""

    def __init__(self, body: bytes, size: int) -> None:
        self._parts = [body[at : at + size] for at in range(0, len(body), size)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)


def _answering(status: int, body: bytes, size: int) -> httpx.BaseTransport:
    return httpx.MockTransport(
        lambda _: httpx.Response(status, stream=_Reads(body, size)),
    )


PROVIDERS: Mapping[str, Callable[[httpx.BaseTransport], Provider]] = {
    "openai": lambda transport: OpenAI(transport, "http://provider/v1", "key"),
    "anthropic": lambda transport: Anthropic(transport, "http://provider/v1", "key"),
    "gemini": lambda transport: Gemini(transport, "http://provider/v1", "key"),
}


def stream_of(kind: str) -> Target:
    """A provider's stream: a whole answer, or ProviderError."""

    def target(data: bytes) -> None:
        size, body = _cut(data)
        provider, collector = PROVIDERS[kind](_answering(200, body, size)), Collector()
        try:
            for chunk in provider.stream(Call(dict(REQUEST), "m")):
                collector.add(chunk.choices)
        except ProviderError:
            return
        assert collector.finished()
        json.dumps(collector.choices()).encode()

    return target


def answer_of(kind: str) -> Target:
    """A provider's whole answer, and what it says when it refuses: ProviderError at most."""

    def target(data: bytes) -> None:
        first, body = data[:1], data[1:]
        status = 200 if first < b"\x80" else 300 + 2 * (first[0] - 0x80)
        provider = PROVIDERS[kind](_answering(status, body, 4096))
        try:
            completion = provider.complete(Call(dict(REQUEST), "m"))
        except ProviderError as error:
            json.dumps([error.message, error.param, error.status])
            return
        assert isinstance(completion.choices[0], dict)
        assert completion.usage is None or isinstance(completion.usage, dict)

    return target


def frames(data: bytes) -> None:
    """The frames of a stream are the same however it is cut."""
    size, body = _cut(data)

    def told(each: int) -> list[bytes]:
        response = httpx.Response(200, stream=_Reads(body, each))
        return [one for part in Frames(response, Call({}, "m")) for one in part]

    assert told(size) == told(len(body) + 1)


def _cut(data: bytes) -> tuple[int, bytes]:
    return (data[0] % 64 + 1 if data else 1), data[1:]


def guarded(data: bytes) -> None:
    """What passes is JSON that every parser reads alike."""
    try:
        check_json(data)
    except InvalidRequest as error:
        error.message.encode()
        return
    value = json.loads(
        data.decode(), object_pairs_hook=_once, parse_constant=_never, parse_int=_of_64_bits
    )
    deepest, level = 0, [value]
    while level := [member for one in level if isinstance(one, dict | list) for member in
                    (one.values() if isinstance(one, dict) else one)]:  # fmt: skip
        deepest += 1
    assert deepest <= DEPTH_MAX
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def _of_64_bits(digits: str) -> int:
    assert int(digits) in range(-(2**63), 2**64)
    return int(digits)


def _never(word: str) -> None:
    raise AssertionError(word)


BODIES: tuple[type[BaseModel], ...] = (
    ChatRequest, CompletionRequest, ResponseRequest, MessageRequest, EmbeddingsRequest,
    ImageRequest, NewKeyBody, NewTenantBody, RefundBody, NewBudgetBody, DeletionRequest,
    NewEndpointBody,
)  # fmt: skip
QUERIES: tuple[type[BaseModel], ...] = (UsageQuery, HistoryQuery, EntriesQuery, StatementQuery)


def bodies(data: bytes) -> None:
    """A body passes its schema and its door's translation, or InvalidRequest tells why not. The
    first byte chooses the schema."""
    kind, body = BODIES[data[0] % len(BODIES) if data else 0], data[1:]
    try:
        check_json(body)
        _asked(_validated(kind.model_validate_json, body), body)
    except InvalidRequest as error:
        json.dumps(error.body()).encode()


def _asked(wanted: BaseModel, body: bytes) -> None:
    estimate_tokens(body)
    if isinstance(wanted, ChatRequest):
        chat_asked(wanted, body)
    elif isinstance(wanted, CompletionRequest):
        orjson.dumps(of_completion(wanted.model_dump(exclude_unset=True)))
    elif isinstance(wanted, MessageRequest):
        orjson.dumps(of_message(wanted.given()))
    elif isinstance(wanted, ResponseRequest):
        orjson.dumps(of_response(wanted.given(), []))
    elif isinstance(wanted, EmbeddingsRequest | ImageRequest):
        orjson.dumps(wanted.told())


def _validated(validate: Callable[[Any], BaseModel], given: Any) -> BaseModel:
    try:
        return validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def queries(data: bytes) -> None:
    """As `bodies`, for the parameters of an address and for ids of events."""
    text = data[1:].decode("latin-1")
    kind = QUERIES[data[0] % len(QUERIES) if data else 0]
    given = {name: one[0] if len(one) == 1 else one for name, one in
             parse_qs(text, keep_blank_values=True, max_num_fields=None).items()}  # fmt: skip
    for ask in (
        lambda: _validated(kind.model_validate, given), lambda: parse_id(text, "Last-Event-ID")
    ):  # fmt: skip
        try:
            ask()
        except InvalidRequest as error:
            json.dumps(error.body())


def heads(data: bytes) -> None:
    """A head is read, or its status says what is wrong."""
    read = Head(io.BytesIO(data))
    if not read.status:
        length = read.get("content-length")
        assert length is None or int(length) >= 0
        assert not any("\0" in line for line in read.headers)


TARGETS: Mapping[str, Target] = {
    **{f"{kind}_stream": stream_of(kind) for kind in PROVIDERS},
    **{f"{kind}_answer": answer_of(kind) for kind in PROVIDERS},
    "frames": frames,
    "guarded": guarded,
    "bodies": bodies,
    "queries": queries,
    "heads": heads,
}
