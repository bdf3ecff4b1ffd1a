"""`POST /v1/chat/completions`: the OpenAI door to the job line."""

from flask import Blueprint, Response

from app.catalogue.tokens import BYTES_PER_TOKEN
from app.emotion.prompt import checked_style
from app.emotion.session_name import checked_session
from app.emotion.traits import TRAITS, unknown_trait
from app.errors import InvalidRequest
from app.lunes.finding.service import Finder
from app.settings import Settings
from app.web.asked import Asked
from app.web.auth import caller
from app.web.body import read_request
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.planning import PLANNED, plan
from app.web.schemas.chat import ChatRequest
from app.web.schemas.usage import TEXT_MAX
from app.web.web_chat_answer import linked_shape

FEELING = ("emotion_tracking", "emotion_style", "personality_traits")
"""Fields that put a feeling before the messages."""

EMOTION_BYTES = 1000
"""More than any system message that tells a feeling."""

MEMORY_BYTES = 2000
"""More than the introduction of recalled memories and the days they are from."""

LUNE_BYTES = 1000
"""More than the introduction of sources and the blank lines between them."""


def chat_routes(front: Front) -> Blueprint:
    """The blueprint of the chat door."""
    routes = Blueprint("chat", __name__)

    @routes.post("/v1/chat/completions")
    @routes.post("/chat/completions")
    def create_chat_completion() -> Response:
        wanted, body = read_request(front, ChatRequest)
        usage = include_usage(wanted)
        shape = Shape(form=lambda draft: Chunks(draft, usage), whole=json_answer)
        if wanted.option("include_web_chat"):
            shape = linked_shape(front, usage)
        return respond(front, conversation(front, wanted, body), shape)

    return routes


def conversation(front: Front, wanted: ChatRequest, body: bytes) -> Asked:
    """What a chat request asks of the line, with what is put before its messages. Raises
    InvalidRequest, and NotFound for a lune that the caller does not have."""
    asked = chat_asked(wanted, body)
    asked.context_bytes = context_bytes(wanted, front.settings)
    unless_unknown(front, wanted)
    return asked


def chat_asked(wanted: ChatRequest, body: bytes) -> Asked:
    """What a chat request asks of the line. Raises InvalidRequest."""
    if wanted.option("include_web_chat") and wanted.store is False:
        raise InvalidRequest(
            "include_web_chat needs an answer that is kept: leave out store.",
            param="include_web_chat",
        )
    return Asked(
        kind="chat.completion",
        path="/chat/completions",
        body=body,
        request=body.decode(),
        model=wanted.model,
        provider=wanted.option("provider"),
        models=wanted.option("models"),
        cost_weight=wanted.option("cost_weight"),
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


def unless_unknown(front: Front, wanted: ChatRequest) -> None:
    """Raises NotFound for a lune that the caller does not have."""
    if names := wanted.option("lunes"):
        Finder(front.reads, front.settings).shelves(caller().tenant_id, names)


def context_bytes(wanted: ChatRequest, settings: Settings) -> int:
    """The most that feeling, memory and lunes add to the prompt. Raises InvalidRequest for a
    session, a style or a trait that is none."""
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
        added += MEMORY_BYTES + (memory.tokens or settings.memory_tokens) * BYTES_PER_TOKEN
    if wanted.option("lunes"):
        tokens = wanted.option("lune_tokens") or settings.lune_tokens
        added += LUNE_BYTES + tokens * BYTES_PER_TOKEN
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
