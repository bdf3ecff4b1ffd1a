"""A batch's lines as its endpoint's door reads them: what each would be as a request of its own.

The doors' own reading is used, so that a line is taken or refused exactly as the request would be.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from app.batches.model import CUSTOM_ID_MAX, ENDPOINTS, Line, LineError
from app.catalogue.model import Catalogue, Model
from app.dialects.responses.request import NAMES, chat_request
from app.errors import Forbidden, InvalidRequest, MoonpoolError, Unavailable
from app.settings import Settings
from app.uniroute.model import AUTO
from app.uniroute.shelf import Names
from app.web.asked import Asked, most_cost
from app.web.body import parsed
from app.web.candidates import Payer
from app.web.chat import chat_asked, context_bytes
from app.web.choosing import is_open, models_of, routed
from app.web.completions import completion_asked
from app.web.embeddings import embedding_asked
from app.web.images import image_asked
from app.web.json_guard import check_json
from app.web.marks import takes_marks
from app.web.problems import renamed
from app.web.responses import response_asked
from app.web.schemas.chat import ChatRequest
from app.web.schemas.completions import CompletionRequest
from app.web.schemas.embeddings import EmbeddingsRequest
from app.web.schemas.images import BACKGROUNDS, ImageRequest
from app.web.schemas.responses import ResponseRequest

MEMBERS = frozenset({"custom_id", "method", "url", "body"})
NEVER = (
    "stream", "background", "run_at", "not_after", "webhook_url", "include_web_chat",
    "previous_response_id",
)  # fmt: skip
"""Fields that say how a client waits, and when, and goes on, which nobody does for a line."""

RENAMED = {"/v1/responses": NAMES}
"""What a chat request's fields are called at endpoints that call them otherwise."""


@dataclass(frozen=True, slots=True)
class Knows:
    """What the doors ask for the catalogue and for the active profile."""

    catalogue: Catalogue
    profiles: Names


class LineReader:
    """Reads the lines of one batch in order. What it `knows` has the prices of batches; `lunes`
    raises for names of which one is no lune of the batch's tenant; `left` tells what a job of the
    batch may hold; with `test`, builtin models alone are taken and nothing is held. `model` is that
    of the first line."""

    def __init__(
        self,
        knows: Knows,
        endpoint: str,
        settings: Settings,
        lunes: Callable[[tuple[str, ...]], object],
        left: Callable[[], int],
        *,
        test: bool,
    ) -> None:
        self._knows, self._endpoint = knows, endpoint
        # Asked once for all lines, so that they are judged alike.
        self._settings, self._payer = settings, Payer(test, cache(left))
        self._unless_unknown = cache(lunes)
        self._seen: set[bytes] = set()
        self.model: str | None = None

    def read(self, number: int, raw: bytes) -> Line | LineError:
        """The line of this number (from 1), or why it is refused. Raises Unavailable."""
        try:
            check_json(raw)
        except InvalidRequest as error:
            told = error.message.replace("The body", "This line", 1)
            return LineError("invalid_json_line", told, number)
        try:
            custom_id, body = self._unwrapped(orjson.loads(raw))
            return self._line(number, custom_id, body)
        except Unavailable:
            raise
        except MoonpoolError as error:
            return LineError.of(error, number)

    def _unwrapped(self, told: Any) -> tuple[str, dict[str, Any]]:
        """A line's custom_id and body. Raises InvalidRequest."""
        if not isinstance(told, dict):
            raise InvalidRequest("This line is no JSON object.", code="invalid_json_line")
        for name in ("custom_id", "method", "url", "body"):
            if told.get(name) is None:
                raise InvalidRequest(
                    f"Missing required parameter: '{name}'.", param=name,
                    code="missing_required_parameter",
                )  # fmt: skip
        for name in told.keys() - MEMBERS:
            raise InvalidRequest(
                f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter"
            )
        custom_id, body = told["custom_id"], told["body"]
        if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= CUSTOM_ID_MAX:
            raise InvalidRequest(
                f"custom_id must be a text of 1 to {CUSTOM_ID_MAX} characters.", param="custom_id",
                code="invalid_custom_id",
            )  # fmt: skip
        if told["method"] != "POST":
            raise InvalidRequest("method must be POST.", param="method", code="invalid_method")
        if told["url"] != self._endpoint:
            raise InvalidRequest(
                f"url must be the batch's endpoint, {self._endpoint}.", param="url",
                code="url_mismatch",
            )  # fmt: skip
        if not isinstance(body, dict):
            raise InvalidRequest("body must be an object.", param="body", code="invalid_body")
        digest = hashlib.blake2b(custom_id.encode(), digest_size=16).digest()
        if digest in self._seen:
            raise InvalidRequest(
                f"The custom_id {custom_id!r} is a duplicate of another line's; each must be "
                "unique within its batch.",
                param="custom_id", code="duplicate_custom_id",
            )  # fmt: skip
        self._seen.add(digest)
        return custom_id, body

    def _line(self, number: int, custom_id: str, body: dict[str, Any]) -> Line:
        try:
            asked, hold = self._asked(body)
        except MoonpoolError as error:
            error.param = f"body.{error.param}" if error.param else "body"
            raise
        return Line(
            line=number,
            custom_id=custom_id,
            kind=ENDPOINTS[self._endpoint],
            model=asked.model or str(self.model),
            request=asked.request,
            metadata=orjson.dumps(asked.metadata).decode() if asked.metadata else None,
            session=asked.session,
            store=asked.store,
            hold=hold,
        )

    def _asked(self, body: dict[str, Any]) -> tuple[Asked, int]:
        """What a body asks of the line, and its hold. Raises what its door does."""
        extra = body.get("extra_body")
        given = {**extra, **body} if isinstance(extra, dict) else body
        for name in NEVER:
            # An image's `background` is what is behind its motif.
            fine = BACKGROUNDS if name == "background" else ()
            if given.get(name) not in (None, False, *fine):
                raise InvalidRequest(
                    f"{name} is not for lines of a batch.", param=name,
                    code="unsupported_parameter",
                )  # fmt: skip
        asked = READERS[self._endpoint](self, orjson.dumps(body))
        with renamed(RENAMED.get(self._endpoint, {})):
            models = self._models(asked)
        name = asked.model or models[0].id
        if self.model is None:
            self.model = name
        if name != self.model:
            raise InvalidRequest(
                f"The model {name!r} is not that of the lines before, {self.model!r}; all lines "
                "of a batch have the same.",
                param="model", code="mismatched_model",
            )  # fmt: skip
        if self._payer.test and not all(model.builtin for model in models):
            raise Forbidden("A test key runs only builtin models.", param="model")
        hold = 0 if self._payer.test else max(most_cost(model, asked) for model in models)
        return asked, hold

    def _models(self, asked: Asked) -> list[Model]:
        """Those of which each may answer. Where the router chooses, that is done when the line is
        run."""
        if asked.model == AUTO and is_open(self._knows, asked):
            return routed(self._knows, asked, self._payer)
        return models_of(self._knows, asked)

    def chat(self, body: bytes) -> Asked:
        """A chat completion."""
        wanted = parsed(ChatRequest, body)
        asked = chat_asked(wanted, body)
        asked.context_bytes = context_bytes(wanted, self._settings)
        if names := wanted.option("lunes"):
            self._unless_unknown(tuple(names))
        return asked

    def completion(self, body: bytes) -> Asked:
        """A text completion."""
        return completion_asked(parsed(CompletionRequest, body), body)[0]

    def response(self, body: bytes) -> Asked:
        """A response."""
        wanted = parsed(ResponseRequest, body)
        chat = chat_request(wanted.given(), marks=takes_marks(self._knows, wanted))
        return response_asked(wanted, chat, body)

    def embedding(self, body: bytes) -> Asked:
        """Embeddings."""
        return embedding_asked(self._knows, parsed(EmbeddingsRequest, body), body)

    def image(self, body: bytes) -> Asked:
        """An image generation."""
        wanted = parsed(ImageRequest, body)
        if wanted.response_format == "url":
            raise InvalidRequest(
                "Images of a batch come as base64: an address would be gone before its file.",
                param="response_format", code="unsupported_parameter",
            )  # fmt: skip
        return image_asked(wanted, body)


READERS: dict[str, Callable[[LineReader, bytes], Asked]] = {
    "/v1/chat/completions": LineReader.chat,
    "/v1/completions": LineReader.completion,
    "/v1/responses": LineReader.response,
    "/v1/embeddings": LineReader.embedding,
    "/v1/images/generations": LineReader.image,
}
