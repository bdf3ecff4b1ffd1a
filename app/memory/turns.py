"""The turns of a chat, remembered as episodes."""

from typing import Any

from app.db.reads import Reads
from app.memory.model import NewMemory, Scope, Stored
from app.memory.shelf.keep import keep
from app.memory.shelf.model import stored_id
from app.settings import Settings

TURN_IMPORTANCE = 0.3
"""Less than that of what somebody had remembered on purpose."""

TURN_CHARS_MAX = 32_000


def remember_turn(
    reads: Reads,
    settings: Settings,
    scope: Scope,
    job_id: str,
    admitted_s: float,
    user_text: str,
    answer_text: str,
    emotion: dict[str, Any] | None = None,
) -> list[Stored | None]:
    """Remembers what the user said and what was answered, each with the name of its speaker, as
    two episodes of the chat's job, which was admitted at `admitted_s`, unix seconds. `emotion`: the
    emotional context of what the user said. A side that says nothing is left out.

    Run again for the same job it changes nothing. Raises what `keep` raises.
    """
    sides = [("User", user_text, emotion), ("Assistant", answer_text, None)]
    turn = [
        NewMemory(
            id=stored_id(job_id, place),
            content=f"{speaker}: {said.strip()[:TURN_CHARS_MAX]}",
            importance=TURN_IMPORTANCE,
            emotional_context=felt,
            metadata={"role": speaker.lower()},
        )
        for place, (speaker, text, felt) in enumerate(sides)
        if (said := text.replace("\0", "")).strip()
    ]
    return keep(reads, settings, job_id, admitted_s, [(scope, one) for one in turn])
