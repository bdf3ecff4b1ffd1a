"""`POST /v1/completions`: OpenAI's legacy text completions, run as chat completions."""

from typing import Any

import orjson
from flask import Blueprint, Response

from app.dialects.completions import (
    ID_PREFIX,
    Text,
    chat_request,
    text_completion,
    texts_of,
)
from app.errors import InvalidRequest
from app.events.log import Event
from app.jobs.model import Draft
from app.web.asked import Asked
from app.web.body import read_request
from app.web.chat import chat_asked, include_usage
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.schemas.chat import ChatRequest
from app.web.schemas.completions import CompletionRequest

CHAT_ALONE = (
    "emotion_tracking", "emotion_style", "personality_traits", "memory", "lunes",
    "include_references", "include_web_chat", "debug",
)  # fmt: skip


def completion_routes(front: Front) -> Blueprint:
    """The blueprint of the door for text completions."""
    routes = Blueprint("completions", __name__)

    @routes.post("/v1/completions")
    @routes.post("/completions")
    def create_completion() -> Response:
        wanted, body = read_request(front, CompletionRequest)
        asked, chat_wanted = completion_asked(wanted, body)
        usage = include_usage(chat_wanted)
        shape = Shape(form=lambda draft: TextChunks(draft, usage), whole=_whole)
        return respond(front, asked, shape)

    return routes


def refuse(wanted: CompletionRequest) -> None:
    """Raises InvalidRequest for what a chat completion cannot stand for."""
    for name in CHAT_ALONE:
        if getattr(wanted, name) or getattr(wanted.extra_body, name, None):
            raise InvalidRequest(f"{name} is for /v1/chat/completions.", param=name)
    if wanted.suffix:
        raise InvalidRequest("suffix is not supported: the text is not inserted.", param="suffix")
    if wanted.best_of not in (None, 1, wanted.n or 1):
        raise InvalidRequest(
            "best_of is not supported beyond n: every answer is given.", param="best_of"
        )
    if wanted.echo and wanted.logprobs is not None:
        raise InvalidRequest(
            "echo is not supported with logprobs: a prompt's are not known.", param="echo"
        )


def completion_asked(wanted: CompletionRequest, body: bytes) -> tuple[Asked, ChatRequest]:
    """What a text completion asks of the line, and the chat request that stands for it. Raises
    InvalidRequest."""
    refuse(wanted)
    chat = chat_request(wanted.model_dump(exclude_unset=True))
    chat_wanted = ChatRequest.model_validate({k: v for k, v in chat.items() if k != "asked"})
    asked = chat_asked(chat_wanted, body)
    asked.kind, asked.path = "text_completion", "/completions"
    asked.request = orjson.dumps(chat).decode()
    # The client sent one field for both.
    asked.fields.pop("top_logprobs", None)
    asked.choices *= len(chat["asked"].get("prompts", (0,)))
    return asked, chat_wanted


def _whole(body: bytes, draft: Draft) -> Response:
    told = text_completion(orjson.loads(body), orjson.loads(draft.request))
    return json_answer(orjson.dumps(told), draft)


class TextChunks(Chunks):
    """The form of the door: OpenAI's stream with text completions for chunks."""

    prefix, kind = ID_PREFIX, "text_completion"

    def __init__(self, draft: Draft, usage: bool) -> None:
        super().__init__(draft, usage)
        self._request = orjson.loads(draft.request)
        self._texts: dict[int, Text] = {}

    def frame(self, event: Event) -> bytes:
        if event.name != "delta":
            return super().frame(event)
        choices = self._told([orjson.loads(line) for line in event.data.split(b"\n")])
        if not choices:
            return b""
        lines = b"\n".join(orjson.dumps(choice) for choice in choices)
        return super().frame(event._replace(data=lines))

    def _as_chunks(self, choices: list[dict[str, Any]]) -> bytes:
        if not self._head:
            self._begin({})
        return b"".join(
            self._head + orjson.dumps(choice) + self._rest for choice in self._told(choices)
        )

    def _told(self, choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        new = {choice["index"] for choice in choices} - self._texts.keys()
        self._texts |= texts_of(self._request, new)
        told = [self._texts[choice["index"]].choice(choice) for choice in choices]
        return [choice for choice in told if choice is not None]
