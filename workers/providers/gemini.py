"""Google's Gemini API: https://ai.google.dev/api/generate-content and /embeddings beside it."""

import math
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from app.ids import new_id
from workers.providers.base import Answer, Call, Chunk, Completion, ProviderError
from workers.providers.collect import collect
from workers.providers.conversation import refused
from workers.providers.gemini_form import body_of
from workers.providers.gemini_images import drawing, drawn
from workers.providers.refusals import told_error
from workers.providers.vectors import encoded
from workers.providers.wire import (
    Frames,
    as_provider_errors,
    headers_for,
    post,
    read,
)

BATCH_MAX = 100
"""Texts that one call of `batchEmbedContents` takes."""

FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", "OTHER": "stop"}
"""All other reasons are filters of content, but for those of `BROKEN`."""

BROKEN = frozenset({
    "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
"""Reasons that stand for an answer which the API could not read from its own model."""


class Gemini:
    """The Gemini API at `base_url`, called with `api_key` if there is one."""

    def __init__(self, transport: httpx.BaseTransport, base_url: str, api_key: str) -> None:
        self._transport, self._key = transport, api_key
        self._base = base_url.rstrip("/")
        self._headers = headers_for(httpx.URL(self._base))
        if api_key:
            self._headers.append((b"x-goog-api-key", api_key.encode()))

    def complete(self, call: Call) -> Completion:
        """The whole answer; raises ProviderError."""
        with as_provider_errors(self._key):
            response = self._post("generateContent", body_of(call), call)
            reader, chunk = _Reader(), Chunk([])
            reader.take(read(response), chunk)
            return collect([chunk])

    def stream(self, call: Call) -> Iterator[Chunk]:
        """The answer, a chunk a read; raises ProviderError."""
        with as_provider_errors(self._key):
            response = self._post("streamGenerateContent?alt=sse", body_of(call), call)
            frames = Frames(response, call)
            try:
                yield from _chunks(frames)
            finally:
                frames.close()

    def embed(self, call: Call) -> Answer:
        """The embeddings of texts; raises ProviderError."""
        request, asked = call.request, call.request.get("encoding_format")
        texts = request["input"]
        texts = [texts] if isinstance(texts, str) else texts
        if not all(isinstance(text, str) for text in texts):
            raise refused("this provider takes text, not tokens", "input")
        vectors: list[list[float]] = []
        counts: list[int | None] = []
        for at in range(0, len(texts), BATCH_MAX):
            told = self._embedded(texts[at : at + BATCH_MAX], request.get("dimensions"), call)
            vectors += told[0]
            counts.append(told[1])
        data = [
            {"object": "embedding", "index": index, "embedding": encoded(vector, asked)}
            for index, vector in enumerate(vectors)
        ]
        return Answer({"object": "list", "data": data}, _read_tokens(counts))

    def draw(self, call: Call) -> Answer:
        """An image; raises ProviderError."""
        with as_provider_errors(self._key):
            return drawn(read(self._post("generateContent", drawing(call), call)))

    def _embedded(
        self, texts: list[str], dimensions: int | None, call: Call
    ) -> tuple[list[list[float]], int | None]:
        """Their vectors, and the tokens read where they are told."""
        model = f"models/{call.model}"
        each: dict[str, Any] = {"outputDimensionality": dimensions} if dimensions else {}
        body = {
            "requests": [
                {"model": model, "content": {"parts": [{"text": text}]}, **each} for text in texts
            ]
        }
        with as_provider_errors(self._key):
            raw = read(self._post("batchEmbedContents", body, call))
        try:
            told = orjson.loads(raw)
            vectors = [one["values"] for one in told["embeddings"]]
            if len(vectors) != len(texts):
                raise TypeError
            usage = told.get("usageMetadata") or {}
            # Only vectors of the model's full length are normalised by the API.
            scaled = [_unit(vector) for vector in vectors] if dimensions else vectors
            return scaled, usage.get("promptTokenCount")
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ProviderError("protocol", "the answer holds no embeddings") from error

    def _post(self, method: str, body: dict[str, Any], call: Call) -> httpx.Response:
        url = httpx.URL(f"{self._base}/models/{call.model}:{method}")
        try:
            return post(self._transport, url, self._headers, orjson.dumps(body), call)
        except ProviderError as error:
            # A wrong key is told as an invalid request, and is not the client's to mend.
            if error.kind == "invalid" and error.message.startswith("API key"):
                raise ProviderError("auth", error.message, status=error.status) from None
            raise


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def _read_tokens(counts: list[int | None]) -> dict[str, Any] | None:
    told = [count for count in counts if count is not None]
    if len(told) < len(counts):
        return None
    return {"prompt_tokens": sum(told), "completion_tokens": 0, "total_tokens": sum(told)}


def _chunks(frames: Frames) -> Iterator[Chunk]:
    """One Chunk for all that one read brought. The stream has no mark of its end."""
    reader = _Reader()
    for told in frames:
        chunk = Chunk([])
        for data in told:
            reader.take(data, chunk)
        if chunk.choices:
            frames.spoke()
        if chunk.choices or chunk.usage:
            yield chunk
    if not reader.finished():
        raise frames.incomplete()


class _Candidate:
    """What is to be known of one choice until its end; `name` begins the ids of its calls."""

    __slots__ = ("calls", "finished", "name")

    def __init__(self, name: str) -> None:
        self.calls, self.finished, self.name = 0, False, name


class _Reader:
    """Turns answers, of which a stream has many, into deltas of choices."""

    __slots__ = ("_candidates",)

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}

    def finished(self) -> bool:
        """Whether a candidate was seen, and the end of each."""
        known = self._candidates.values()
        return bool(known) and all(one.finished for one in known)

    def take(self, data: bytes, chunk: Chunk) -> None:
        """Adds what one answer says to `chunk`. Raises ProviderError for an error and what is not
        of the API's form."""
        try:
            told = orjson.loads(data)
            if told.get("error"):
                raise told_error(told)
            answer = str(told.get("responseId") or new_id("made"))
            for candidate in told.get("candidates") or ():
                self._candidate(candidate, answer, chunk)
            blocked = (told.get("promptFeedback") or {}).get("blockReason")
            if blocked and not self._candidates:
                self._known(0, answer, chunk).finished = True
                _say(chunk, 0, {"refusal": f"The prompt was blocked: {blocked}."})
                _say(chunk, 0, {}, "content_filter")
            chunk.usage = _usage(told.get("usageMetadata") or {}) or chunk.usage
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ProviderError("protocol", "an answer is not of Gemini's form") from error

    def _known(self, index: int, answer: str, chunk: Chunk) -> _Candidate:
        known = self._candidates.get(index)
        if known is None:
            known = self._candidates[index] = _Candidate(f"{answer}_{index}")
            _say(chunk, index, {"role": "assistant"})
        return known

    def _candidate(self, told: dict[str, Any], answer: str, chunk: Chunk) -> None:
        index = told.get("index", 0)
        if type(index) is not int:
            raise TypeError
        known = self._known(index, answer, chunk)
        for part in (told.get("content") or {}).get("parts") or ():
            if call := part.get("functionCall"):
                _say(chunk, index, {"tool_calls": [_call(known, call, part)]})
                known.calls += 1
            elif text := part.get("text"):
                if type(text) is not str:
                    raise TypeError
                _say(
                    chunk, index, {"reasoning_content" if part.get("thought") else "content": text}
                )
        if logprobs := told.get("logprobsResult"):
            _say(chunk, index, {})
            chunk.choices[-1]["logprobs"] = _logprobs(logprobs)
        if reason := told.get("finishReason"):
            self._end(index, reason, chunk)

    def _end(self, index: int, reason: str, chunk: Chunk) -> None:
        if reason in BROKEN:
            raise ProviderError("protocol", f"the model's answer was broken: {reason}")
        known = self._candidates[index]
        known.finished = True
        finish = FINISHES.get(reason, "content_filter")
        _say(chunk, index, {}, "tool_calls" if known.calls and finish == "stop" else finish)


def _say(chunk: Chunk, index: int, delta: dict[str, Any], finish: str | None = None) -> None:
    chunk.choices.append({"index": index, "delta": delta, "finish_reason": finish})


def _call(known: _Candidate, call: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A call; Gemini 2.5 gives none an id."""
    arguments = orjson.dumps(call.get("args") or {}).decode()
    told = {
        "index": known.calls,
        "id": call.get("id") or f"call_{known.name}_{known.calls}",
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
    if signature := part.get("thoughtSignature"):
        told["extra_content"] = {"google": {"thought_signature": signature}}
    return told


def _logprobs(told: dict[str, Any]) -> dict[str, Any]:
    """Log probabilities in OpenAI's form; the chosen tokens and the likeliest run side by side."""
    chosen = told.get("chosenCandidates") or []
    top = [one.get("candidates") or [] for one in told.get("topCandidates") or ()]
    top += [[]] * (len(chosen) - len(top))
    pairs = zip(chosen, top, strict=False)
    content = [{**_token(one), "top_logprobs": [*map(_token, others)]} for one, others in pairs]
    return {"content": content, "refusal": None}


def _token(told: dict[str, Any]) -> dict[str, Any]:
    token = told.get("token", "")
    return {"token": token, "logprob": told["logProbability"], "bytes": [*token.encode()]}


def _usage(told: dict[str, Any]) -> dict[str, Any] | None:
    """OpenAI's usage, None where the API did not tell. Thoughts are counted apart from the
    candidates, results of tools apart from the prompt."""
    if "promptTokenCount" not in told:
        return None
    thoughts = told.get("thoughtsTokenCount") or 0
    prompt = told["promptTokenCount"] + (told.get("toolUsePromptTokenCount") or 0)
    completion = (told.get("candidatesTokenCount") or 0) + thoughts
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": told.get("cachedContentTokenCount") or 0},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }
