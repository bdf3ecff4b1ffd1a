"""`POST /v1/chat/completions`: the OpenAI door to the job line."""

from flask import Blueprint, Response

from app.errors import InvalidRequest
from app.web.body import read_request
from app.web.front import Front
from app.web.inference import Asked, Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.schemas.chat import ChatRequest

NOT_HERE = (
    "emotion_tracking", "memory", "lunes", "include_references", "include_web_chat",
)  # fmt: skip


def chat_routes(front: Front) -> Blueprint:
    """The blueprint of the chat door."""
    routes = Blueprint("chat", __name__)

    @routes.post("/v1/chat/completions")
    @routes.post("/chat/completions")
    def create_chat_completion() -> Response:
        wanted, body = read_request(front, ChatRequest)
        usage = include_usage(wanted)
        shape = Shape(form=lambda draft: Chunks(draft, usage), whole=json_answer)
        return respond(front, chat_asked(wanted, body), shape)

    return routes


def chat_asked(wanted: ChatRequest, body: bytes) -> Asked:
    """What a chat request asks of the line. Raises InvalidRequest."""
    for name in NOT_HERE:
        if wanted.option(name):
            raise InvalidRequest(f"{name} is not available on this server.", param=name)
    return Asked(
        kind="chat.completion",
        path="/chat/completions",
        body=body,
        request=body.decode(),
        model=wanted.model,
        provider=wanted.option("provider"),
        fallbacks=wanted.option("fallbacks") or (),
        fields=wanted.demands(),
        answer_tokens=wanted.tokens_asked(),
        choices=wanted.n or 1,
        stream=wanted.stream or False,
        background=wanted.option("background") or False,
        cancel_on_disconnect=wanted.option("cancel_on_disconnect") is not False,
        session=wanted.option("session_id") or None,
        store=wanted.store is not False,
        metadata=wanted.metadata,
    )


def include_usage(wanted: ChatRequest) -> bool:
    """Whether a stream ends with a chunk that tells the usage."""
    return wanted.stream_options is not None and bool(wanted.stream_options.include_usage)
