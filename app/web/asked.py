"""What a door understood of its request, and how much that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.accounts.keys import Principal
from app.catalogue.abilities import Operation
from app.catalogue.model import Model
from app.catalogue.tokens import BYTES_PER_TOKEN, MEDIA_TOKENS, estimate_prompt, estimate_tokens
from app.jobs.model import Kind, Plan
from app.web.body import header_text

APP_ID_MAX = 128
IMAGE = '"image_url"'
IMAGE_TOKENS_MAX = 50_000
"""No model that is known counts more for an image: gpt-4o-mini counts 2,833, and 5,667 for each of
at most eight tiles: 48,169 (https://platform.openai.com/docs/guides/images-vision)."""

DOORS: dict[Operation, str] = {
    "chat": "/v1/chat/completions",
    "embedding": "/v1/embeddings",
    "image": "/v1/images/generations",
    "transcription": "/v1/audio/transcriptions",
}
Environ = Mapping[str, Any]
"""The WSGI environment: the hot path reads headers there, where it is one look in a dict."""


@dataclass(slots=True)
class Asked:
    """What a door understood of its request.

    `body`: the bytes that came, which an Idempotency-Key stands for; `request`: the JSON that the
    worker gets, of a chat completion where the kind is a conversation; `path`: of the door, without
    `/v1`. `fields`: what of a chat request may be beyond a provider. `answer_tokens`: the most that
    the client wants, None for the model's own bound. `images` and `seconds` of audio are the most
    that the answer can use; `context_bytes` the most that the worker adds to the prompt, and
    `prompt_bytes` what of `request` goes there, if not all; `image_size` is worked out of it.
    `models` and `cost_weight` are for the router; `answer_prefix`: what ids of its answers begin
    with. `plan`: as it was asked for, unchecked.
    """

    kind: Kind
    path: str
    body: bytes
    request: str
    operation: Operation = "chat"
    model: str | None = None
    provider: str | None = None
    fallbacks: Sequence[str] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    answer_tokens: int | None = None
    choices: int = 1
    images: int = 0
    seconds: float = 0
    context_bytes: int = 0
    prompt_bytes: int | None = None
    image_size: int | None = None
    models: Sequence[str] | None = None
    cost_weight: float | None = None
    answer_prefix: str = ""
    stream: bool = False
    background: bool = False
    cancel_on_disconnect: bool = True
    session: str | None = None
    store: bool = True
    metadata: dict[str, str] | None = None
    plan: Plan | None = None


def prompt_tokens(asked: Asked) -> int:
    """About how many tokens of the day a prompt takes, which its answer corrects."""
    # An audio file is paid by its length, not in tokens.
    if asked.operation == "transcription":
        return 0
    # A look for images costs, and those of few bytes count for few tokens anyway.
    heavy = (
        asked.operation == "chat"
        and len(asked.body) > MEDIA_TOKENS * BYTES_PER_TOKEN
        and any(kind in asked.request for kind in (IMAGE, '"input_audio"', '"file"'))
    )
    told = estimate_prompt(asked.request) if heavy else estimate_tokens(asked.body)
    return told + asked.context_bytes // BYTES_PER_TOKEN


def most_cost(model: Model, asked: Asked) -> int:
    """The most that an answer of `model` can cost, in nano-dollars."""
    if asked.operation == "transcription":
        return model.hold_units(0, asked.seconds)
    hold = model.hold(prompt_size(asked), asked.answer_tokens, asked.choices)
    return hold + model.hold_units(asked.images, 0) if asked.images else hold


def prompt_size(asked: Asked) -> int:
    """How much goes into the prompt of any model at most, but for its persona, as holds count."""
    given = text_bytes(asked.request) if asked.prompt_bytes is None else asked.prompt_bytes
    if asked.image_size is None:
        asked.image_size = _image_size(asked.request) if IMAGE in asked.request else 0
    return given + asked.image_size + asked.context_bytes


def _image_size(request: str) -> int:
    """What the images of a conversation take at most, over the bytes that they have there."""
    addresses = [
        _address(part)
        for message in orjson.loads(request).get("messages") or ()
        if type(message.get("content")) is list
        for part in message["content"]
        if part.get("type") == "image_url"
    ]
    return sum(_most_tokens(one) - len(one) for one in addresses)


def _address(part: dict[str, Any]) -> str:
    # A part of another form is refused by whoever is to read it.
    image = part.get("image_url")
    address = image.get("url") if isinstance(image, dict) else None
    return address if isinstance(address, str) else ""


def _most_tokens(address: str) -> int:
    # Nothing is known of an image that is elsewhere.
    size = IMAGE_TOKENS_MAX if address.startswith("http") else len(address)
    return min(max(size, MEDIA_TOKENS), IMAGE_TOKENS_MAX)


def text_bytes(text: str) -> int:
    """Its bytes in UTF-8; Python knows without looking whether a text is ASCII."""
    return len(text) if text.isascii() else len(text.encode())


def app_id_of(principal: Principal, environ: Environ) -> str:
    """The app that a request says it is from, else that of its key."""
    told = environ.get("HTTP_X_APP_ID", "")
    # Spaces of Latin-1 are parts of letters in UTF-8.
    named = (told if told.isascii() else header_text(told)).strip()
    return (named or principal.app_id or "Unknown")[:APP_ID_MAX]
