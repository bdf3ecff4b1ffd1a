"""What shapes an answer beside the client's messages: how the session feels, what is remembered,
what was found in lunes.

All are helpers of an answer and never its condition: with their models or the database away the
chat goes on without them, and tells null in their place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from app.catalogue.model import Catalogue
from app.catalogue.tokens import estimate_tokens
from app.db.reads import Reads
from app.embedding.weights import ModelUnfit
from app.emotion.prompt import system_prompt
from app.emotion.service import Emotions, Felt
from app.emotion.session import feeling_object
from app.emotion.traits import baseline_of
from app.errors import MoonpoolError
from app.evolution.service import current_traits
from app.jobs.model import Claimed
from app.lunes.finding.model import Found
from app.lunes.finding.service import LIMIT as PASSAGES
from app.lunes.finding.service import Finder
from app.lunes.prompt import lune_prompt, passage_tokens
from app.lunes.references import References, source_of
from app.memory.model import Recalled, Scope
from app.memory.prompt import memory_prompt
from app.memory.service import LIMIT, Memories
from app.memory.turns import remember_turn
from app.ranking.budget import within
from app.settings import Settings
from app.telemetry import log
from app.webchat.service import WebChats

Part = TypeVar("Part")
DIGITS = 4


@dataclass(slots=True)
class Context:
    """What the request in hand was given. `system`: messages for the model; `told`: what the answer
    tells of them; `keeps`: called with the answer's text once it is whole, to remember the turn;
    `references`: what the answer may cite, where it is to say what it does."""

    system: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    keeps: Callable[[str], object] | None = None
    references: References | None = None

    def put_before(self, request: dict[str, Any], persona: bool) -> None:
        """Puts the messages behind the persona and before the client's own."""
        at = 1 if persona else 0
        told = [{"role": "system", "content": text} for text in self.system]
        request["messages"] = [*request["messages"][:at], *told, *request["messages"][at:]]

    def keep(self, text: str) -> None:
        """Remembers the turn that the answer `text` ends, if that was asked."""
        if self.keeps is not None:
            _unless_away("turn not remembered", partial(self.keeps, text))


class Contexts:
    """Makes the contexts of a worker process."""

    def __init__(self, reads: Reads, settings: Settings, catalogue: Catalogue) -> None:
        self._reads, self._settings = reads, settings
        personality = catalogue.personality
        self._emotions = Emotions(
            reads, settings, lambda c, tenant_id: current_traits(c, tenant_id, personality)
        )
        self._memories = Memories(reads, settings)
        self._finder = Finder(reads, settings)
        self._web_chats = WebChats(reads, settings)

    def of(self, job: Claimed, options: dict[str, Any]) -> Context | None:
        """The context of a chat request with these fields; None if it asks for none."""
        memory, feels = options.get("memory"), options.get("emotion_tracking")
        style, traits = options.get("emotion_style"), options.get("personality_traits")
        lunes, refers = options.get("lunes"), options.get("include_references")
        web_chat = options.get("include_web_chat")
        if not (memory or feels or style or traits or lunes or refers or web_chat):
            return None
        context, felt = Context(), None
        text = last_said(options.get("messages") or ())
        if feels:
            felt = self._feel(job, options, text, context)
        elif style or traits:
            context.system.append(system_prompt(baseline_of(traits or {}), traits or {}, style))
        if memory:
            wanted = memory if isinstance(memory, dict) else {}
            user, session = options.get("user") or None, options.get("session_id") or None
            scope = Scope(job.tenant_id, user, session)
            if wanted.get("recall") is not False:
                self._recall(scope, wanted, text, context)
            if wanted.get("store"):
                context.keeps = partial(self._keep, job, scope, text, felt)
        if lunes or refers:
            self._look_up(job, options, text, context)
        if web_chat:
            begin = partial(self._web_chats.begin, job)
            context.told["web_chat"] = _unless_away("web chat not opened", begin)
        if options.get("debug"):
            context.told["debug"] = {"system": context.system, "reading": reading_told(felt)}
        return context

    def _feel(
        self, job: Claimed, options: dict[str, Any], text: str, context: Context
    ) -> Felt | None:
        session, traits = options.get("session_id") or None, options.get("personality_traits")
        turn = partial(self._emotions.turn, job.tenant_id, session, text, job.id, traits)
        felt = _unless_away("turn not felt", turn)
        context.told["emotion_state"] = None
        if felt is not None:
            context.system.append(
                system_prompt(felt.pad, felt.traits, options.get("emotion_style"))
            )
            context.told["emotion_state"] = emotion_state(felt, session or job.id)
        return felt

    def _recall(self, scope: Scope, wanted: dict[str, Any], text: str, context: Context) -> None:
        tokens = wanted.get("tokens") or self._settings.memory_tokens
        limit, types = wanted.get("limit") or LIMIT, wanted.get("types")
        found = _unless_away(
            "memory not recalled",
            lambda: self._memories.recall(scope, text, limit, tokens, types),
        )
        context.told["memory"] = None if found is None else used(found)
        if found:
            context.system.append(memory_prompt(found))

    def _look_up(self, job: Claimed, options: dict[str, Any], text: str, context: Context) -> None:
        names = options.get("lunes") or ()
        found = _unless_away("lunes not searched", partial(self._found, job, names, text))
        if found:
            tokens = options.get("lune_tokens") or self._settings.lune_tokens
            found = within(found, tokens, passage_tokens)
        if found:
            context.system.append(lune_prompt(found))
        if options.get("include_references"):
            context.told["url_references"] = None if found is None else []
            if found is not None:
                base = self._settings.public_url.rstrip("/")
                context.references = References([source_of(one, base) for one in found])

    def _found(self, job: Claimed, names: Sequence[str], text: str) -> list[Found]:
        shelves = self._finder.shelves(job.tenant_id, names) if names else []
        return self._finder.find(job.tenant_id, shelves, text, PASSAGES)

    def _keep(self, job: Claimed, scope: Scope, asked: str, felt: Felt | None, answer: str) -> None:
        emotion = None
        if felt is not None:
            emotion = {**_axes(felt.reading), "associated_emotion": felt.reading.primary}
        remember_turn(
            self._reads, self._settings, scope, job.id, job.created_s, asked, answer, emotion
        )


def last_said(messages: Any) -> str:
    """The text of the user's last message; empty if there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = [p.get("text") for p in content or () if p.get("type") == "text"]
            return "\n".join(text for text in parts if isinstance(text, str))
    return ""


def emotion_state(felt: Felt, session: str) -> dict[str, Any]:
    """What an answer tells of the feeling that shaped it."""
    return {
        **feeling_object(felt.pad, f"{session} {felt.turns}"),
        "primary_emotion": felt.primary,
        "confidence": round(felt.confidence, DIGITS),
    }


def reading_told(felt: Felt | None) -> dict[str, Any] | None:
    """All that was read in the user's text."""
    if felt is None:
        return None
    read = felt.reading
    labels, ekman = _rounded(read.labels), _rounded(read.ekman)
    return {**_axes(read), "primary": read.primary, "labels": labels, "ekman": ekman}


def used(recalled: list[Recalled]) -> dict[str, Any]:
    """What an answer tells of the memories that it was given."""
    return {
        "used": [
            {
                "id": one.memory.id,
                "memory_type": one.memory.memory_type,
                "content": one.memory.content,
                "score": round(one.score, DIGITS),
                "session_id": one.memory.session_id,
                "created_at": int(one.memory.created_at.timestamp()),
            }
            for one in recalled
        ],
        "tokens": sum(estimate_tokens(one.memory.content) for one in recalled),
    }


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in probabilities.items()}


def _axes(of: Any) -> dict[str, float]:
    return {name: round(getattr(of, name), DIGITS) for name in ("valence", "arousal", "dominance")}


def _unless_away(what: str, work: Callable[[], Part]) -> Part | None:
    try:
        return work()
    except (MoonpoolError, ModelUnfit, OSError) as error:
        log("worker").warning(what, error=str(error))
        return None
