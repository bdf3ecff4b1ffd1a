"""OpenAI's operations that are no conversation: what is sent for them, and what comes back.

https://platform.openai.com/docs/api-reference/embeddings, /images and /audio; the form of an upload
is RFC 7578.
"""

import secrets
import time
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from workers.providers.base import Answer, Call, ProviderError

IN_JSON = frozenset({"json", "verbose_json", "diarized_json"})
"""Forms of a transcription that are JSON; the others are files of text."""

BASE64_ALWAYS = ("gpt-image", "chatgpt-image")
"""How models are named that give base64 always and refuse to be asked for it."""


def embedded(call: Call, told: Any) -> Answer:
    """Embeddings in the order and encoding that were asked for."""
    try:
        rows = sorted(told["data"], key=lambda row: row["index"])
        asked = call.request.get("encoding_format")
        data = [
            {"object": "embedding", "index": at, "embedding": _vector(row["embedding"], asked)}
            for at, row in enumerate(rows)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderError("protocol", "the answer is not a list of embeddings") from error
    if len(data) != _texts(call.request.get("input")):
        raise ProviderError("protocol", f"{len(data)} embeddings are not one for each input")
    return Answer({"object": "list", "data": data}, _tokens(told.get("usage")))


def _vector(vector: Any, asked: str | None) -> str | list[float]:
    """A vector as it was asked for: not every provider knows base64, of little-endian float32."""
    if type(vector) is str:
        return vector if asked == "base64" else array("f", b64decode(vector)).tolist()
    if type(vector) is not list:
        raise TypeError
    return b64encode(array("f", vector).tobytes()).decode() if asked == "base64" else vector


def _texts(given: Any) -> int:
    one = type(given) is not list or (given and type(given[0]) is int)
    return 1 if one else len(given)


def drawing(call: Call) -> Call:
    """The call for images, without what its model refuses."""
    if not call.model.startswith(BASE64_ALWAYS):
        return call
    request = {name: value for name, value in call.request.items() if name != "response_format"}
    return replace(call, request=request)


def drawn(told: Any) -> Answer:
    """Images, with `images` in their usage. GPT Image models tell their tokens too."""
    try:
        data = told["data"]
        if not data or not all(row.get("b64_json") or row.get("url") for row in data):
            raise TypeError
    except (AttributeError, KeyError, TypeError) as error:
        raise ProviderError("protocol", "the answer is not a list of images") from error
    body = {name: told[name] for name in told if name not in ("model", "usage", "svg_usage")}
    body.setdefault("created", int(time.time()))
    return Answer(body, {**(_tokens(told.get("usage")) or _NONE), "images": len(data)})


_NONE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _tokens(usage: Any) -> dict[str, Any] | None:
    """OpenAI's counts, which images and audio name `input_tokens` and `output_tokens`."""
    if type(usage) is not dict:
        return None
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens")) or 0
    if type(prompt) is not int or type(completion) is not int:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def upload(call: Call) -> tuple[bytes, bytes]:
    """The content type and the content of a form with a recording (RFC 7578)."""
    boundary = secrets.token_hex(16).encode()
    file = call.request["file"]
    try:
        recording = b64decode(file["data"], validate=True)
    except ValueError as error:
        raise ProviderError("invalid", "file is not base64", status=400, param="file") from error
    parts = [
        b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), value.encode())
        for name, value in _fields(_asked(call))
    ]
    parts.append(
        b'Content-Disposition: form-data; name="file"; filename="%b"\r\nContent-Type: %b\r\n\r\n%b'
        % (_quoted(file["name"]), _quoted(file["content_type"]), recording)
    )
    lines = [b"--%b\r\n%b\r\n" % (boundary, part) for part in parts]
    content = b"".join([*lines, b"--%b--\r\n" % boundary])
    return b"multipart/form-data; boundary=" + boundary, content


def _asked(call: Call) -> dict[str, Any]:
    request = {**call.request, "model": call.model}
    return {**request, "response_format": "verbose_json"} if _is_verbose(call) else request


def _is_verbose(call: Call) -> bool:
    """Whether more is asked of the provider than the client wants, for the length it tells."""
    form = call.request.get("response_format") or "json"
    return form in ("json", "text") and bool(call.parameters.get("verbose"))


def _fields(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in request.items():
        if name == "file":
            continue
        if type(value) is list:
            yield from ((f"{name.removesuffix('[]')}[]", str(one)) for one in value)
        else:
            yield name, value if type(value) is str else orjson.dumps(value).decode()


def _quoted(name: str) -> bytes:
    """A name within quotes, as browsers write it (HTML, section 4.10.21.8, Multipart form data)."""
    for raw, escaped in (("\r", "%0D"), ("\n", "%0A"), ('"', "%22")):
        name = name.replace(raw, escaped)
    return name.encode()


def transcribed(call: Call, raw: bytes) -> Answer:
    """A transcription in the form that was asked for, with `seconds` in its usage where the
    provider tells the recording's length, and tokens where it tells those."""
    form, verbose = call.request.get("response_format") or "json", _is_verbose(call)
    if form not in IN_JSON and not verbose:
        return Answer({"text": raw.decode("utf-8", "replace"), "format": form}, None)
    try:
        told = orjson.loads(raw)
        text = told["text"]
        if type(text) is not str:
            raise TypeError
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ProviderError("protocol", "the answer is not a transcription") from error
    usage = told.pop("usage", None)
    told.pop("model", None)
    names = ("seconds", "prompt_audio_seconds")
    lengths = [usage.get(name) for name in names] if type(usage) is dict else []
    heard = _heard(next(filter(None, [*lengths, told.get("duration")]), None))
    tokens = _tokens(usage)
    if verbose:
        told = {"text": text} if form == "json" else {"text": f"{text}\n", "format": form}
    return Answer(told, {**heard, **(tokens or {})} if heard else tokens)


def _heard(seconds: Any) -> dict[str, Any] | None:
    # Some write the number as a string, as OpenAI once did.
    if type(seconds) is str and seconds.replace(".", "", 1).isdecimal():
        seconds = float(seconds)
    return {**_NONE, "seconds": seconds} if type(seconds) in (int, float) else None
