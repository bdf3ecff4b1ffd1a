"""`POST /v1/chat/completions`: the OpenAI door to the job line."""

from flask import Blueprint, Response

from app.catalogue.tokens import BYTES_PER_TOKEN
from app.emotion.prompt import checked_style
from app.emotion.session_name import checked_session
from app.emotion.traits import TRAITS, unknown_trait
from app.errors import InvalidRequest
from app.web.body import read_request
from app.web.front import Front
from app.web.inference import Asked, Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.planning import PLANNED, plan
from app.web.schemas.chat import ChatRequest
from app.web.schemas.usage import TEXT_MAX

NOT_HERE = ("lunes", "include_references", "include_web_chat")
FEELING = ("emotion_tracking", "emotion_style", "personality_traits")
"""Fields that put a feeling before the messages."""

EMOTION_BYTES = 1000
"""More than any system message that tells a feeling."""

MEMORY_BYTES = 2000
"""More than the introduction of recalled memories and the days they are from."""


def chat_routes(front: Front) -> Blueprint:
    """The blueprint of the chat door."""
    routes = Blueprint("chat", __name__)

    @routes.post("/v1/chat/completions")
    @routes.post("/chat/completions")
    def create_chat_completion() -> Response:
        wanted, body = read_request(front, ChatRequest)
        usage = include_usage(wanted)
        shape = Shape(form=lambda draft: Chunks(draft, usage), whole=json_answer)
        asked = chat_asked(wanted, body)
        asked.context_bytes = context_bytes(wanted, front.settings.memory_tokens)
        return respond(front, asked, shape)

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
        plan=plan(*(wanted.option(name) for name in PLANNED)),
    )


def context_bytes(wanted: ChatRequest, memory_tokens: int) -> int:
    """The most that feeling and memory add to the prompt. Raises InvalidRequest for a session, a
    style or a trait that is none."""
    feels, memory = any(wanted.option(name) for name in FEELING), wanted.option("memory")
    if feels:
        _check_feeling(wanted)
    added = EMOTION_BYTES if feels else 0
    if memory:
        for name, value in (("user", wanted.user), ("session_id", wanted.option("session_id"))):
            if value is not None and len(value) > TEXT_MAX:
                raise InvalidRequest(
                    f"{name} must have {TEXT_MAX} characters at most with memory.", param=name
                )
        added += MEMORY_BYTES + (memory.tokens or memory_tokens) * BYTES_PER_TOKEN
    return added


def _check_feeling(wanted: ChatRequest) -> None:
    session, style = wanted.option("session_id"), wanted.option("emotion_style")
    if session:
        checked_session(session)
    if style is not None:
        checked_style(style)
    trait = unknown_trait(wanted.option("personality_traits") or ())
    if trait is not None:
        raise InvalidRequest(
            f"{trait!r} is no trait that is known; these are: {', '.join(TRAITS)}.",
            param=f"personality_traits.{trait}",
        )


def include_usage(wanted: ChatRequest) -> bool:
    """Whether a stream ends with a chunk that tells the usage."""
    return wanted.stream_options is not None and bool(wanted.stream_options.include_usage)
