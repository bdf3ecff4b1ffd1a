"""`/v1/messages`: Anthropic's Messages, run as chat completions."""

from typing import Any

import orjson
from flask import Blueprint, Response

from app.catalogue.tokens import estimate_tokens
from app.dialects.messages.answer import counted, whole_message
from app.dialects.messages.request import NAMES, chat_request
from app.dialects.messages.stream import Events, Interleaved, Told
from app.errors import ModelNotFound, MoonpoolError, ProvidersFailed
from app.events.log import Event
from app.jobs.model import Draft
from app.uniroute.model import AUTO
from app.web.asked import Asked
from app.web.body import read_request
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.marks import takes_marks
from app.web.openai_stream import abnormal
from app.web.planning import plan
from app.web.posting import answered, read_json
from app.web.present import answer_headers
from app.web.problems import anthropic_error, renamed
from app.web.schemas.messages import CountRequest, MessageRequest

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def message_routes(front: Front) -> Blueprint:
    """The blueprint of messages."""
    routes = Blueprint("messages", __name__)

    @routes.post("/v1/messages")
    @routes.post("/messages")
    def create_message() -> Response:
        wanted, body = read_request(front, MessageRequest)
        chat = chat_request(wanted.given(), takes_marks(front, wanted))
        shape = Shape(form=MessageFrames, whole=_whole)
        with renamed(NAMES):
            return respond(front, _asked(wanted, chat, body), shape)

    @routes.post("/v1/messages/count_tokens")
    @routes.post("/messages/count_tokens")
    def count_message_tokens() -> Response:
        wanted = read_json(front, CountRequest)
        known = wanted.model == AUTO or front.catalogue.find(wanted.model, wanted.provider)
        if not known:
            raise ModelNotFound(f"The model {wanted.model!r} does not exist here.", param="model")
        text, tokens = counted(chat_request(wanted.given()))
        count = {"input_tokens": estimate_tokens(text) + tokens, "estimated": True}
        return answered(front, lambda: (200, count))

    @routes.after_request
    def name_request(answer: Response) -> Response:
        if "request-id" not in answer.headers and "x-request-id" in answer.headers:
            answer.headers["request-id"] = answer.headers["x-request-id"]
        return answer

    return routes


def _asked(wanted: MessageRequest, chat: dict[str, Any], body: bytes) -> Asked:
    return Asked(
        kind="message",
        path="/messages",
        body=body,
        request=orjson.dumps(chat).decode(),
        model=wanted.model,
        provider=wanted.provider,
        fallbacks=wanted.fallbacks or (),
        models=wanted.models,
        cost_weight=wanted.cost_weight,
        fields=chat,
        answer_tokens=wanted.max_tokens,
        stream=wanted.stream or False,
        background=wanted.background or False,
        cancel_on_disconnect=wanted.cancel_on_disconnect is not False,
        session=wanted.session_id or None,
        store=wanted.store is not False,
        metadata=chat.get("metadata"),
        plan=plan(wanted.run_at, wanted.not_after, wanted.webhook_url),
    )


def _whole(body: bytes, draft: Draft) -> Response:
    told = whole_message(orjson.loads(body), draft.id, draft.model)
    return json_answer(orjson.dumps(told), draft)


class MessageFrames:
    """The form of the door: Anthropic's named events."""

    ping = PING

    def __init__(self, draft: Draft) -> None:
        self.over = False
        self._draft = draft
        self._events = Events(draft.id, draft.model)

    def begins(self, event: Event) -> bool:
        """An attempt of which nothing was shown begins without a frame. What was chosen is told
        with the message's start."""
        if event.name == "context":
            self._events.chosen(event.data)
            return True
        return event.name == "started" or (event.name == "restarted" and not self._events.spoke)

    def frame(self, event: Event) -> bytes:
        """The frames of an event."""
        if self.begins(event):
            return b""
        if event.name == "usage":
            self._events.usage(event.data)
            return b""
        if event.name == "delta":
            try:
                return _frames(self._events.delta(event.data))
            except Interleaved:
                return self._error(ProvidersFailed(
                    "The provider mixed the pieces of several tool calls, which this stream cannot "
                    "tell; ask for the whole message.", code="stream_interrupted",
                ))  # fmt: skip
        if event.name == "snapshot":
            if self._draft.model == AUTO:
                self._events.chosen(event.data)
            told = self._events.snapshot(event.data)
            if told is not None:
                return _frames(told)
        if event.name == "completed":
            self.over = True
            return _frames(self._events.completed())
        return self._error(abnormal(event, self._draft))

    def _error(self, error: MoonpoolError) -> bytes:
        self.over = True
        request_id = answer_headers(self._draft.id)["x-request-id"]
        return _frames([anthropic_error(error, request_id)])


def _frames(events: list[Told]) -> bytes:
    return b"".join(
        [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), orjson.dumps(e)) for e in events]
    )
