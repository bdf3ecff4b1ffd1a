"""The nightly consolidation: episodes become summaries, what is never used is put away, and what
was put away for long enough is deleted.

Every step is a transaction of its own, and finds nothing more to do where it was done before, so a
run may be cut off, or run twice at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.db.connect import Connection
from app.embedding.apart import apart
from app.embedding.minilm import embedder
from app.embedding.vector import as_text
from app.ids import new_id
from app.memory.consolidation import store
from app.memory.consolidation.store import Episode
from app.memory.consolidation.summary import central, sentences
from app.memory.model import NewMemory, Scope
from app.memory.store import insert
from app.settings import Settings

QUIET_DAYS = 1.0
"""A session is summed up once all its episodes are older than this."""

EPISODES_MIN = 6
EPISODES_MAX = 64
"""Episodes of one summary."""

SENTENCES_MAX = 256
"""The work of ranking grows with the square of their number."""

SESSIONS_MAX = 1000
"""Sessions of one run; the next night goes on."""

HALF_LIVES = {"episodic": 30.0, "semantic": 120.0, "procedural": 120.0, "preference": 360.0}
"""Days in which half the importance of a memory is lost that is not recalled. Each recall adds as
much again: strength is importance · 2^(−idle / (half-life · (1 + uses))), the forgetting curve of
Ebbinghaus 1885 as MemoryBank has it (Zhong et al. 2024, section 3.3)."""

STRENGTH_MIN = 0.05
IDLE_DAYS = 30.0
"""What is weaker, and has not been used for so long, is put away."""

KEPT_DAYS = 30.0
"""How long what is put away can be taken back; then it is deleted."""

NOTED_DAYS = 3.0
"""No job runs for longer after its admission."""

STEP = 500


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What a run has done: how many summaries were made, memories put away, and deleted."""

    summaries: int
    put_away: int
    deleted: int


def consolidate(connection: Connection, settings: Settings) -> Consolidated:
    """Does what is due. Raises psycopg.Error, ModelUnfit and OSError, after which the next run goes
    on."""
    deleted = _all(lambda: store.drop_gone(connection, KEPT_DAYS, STEP))
    away = _all(lambda: store.put_away(connection, HALF_LIVES, STRENGTH_MIN, IDLE_DAYS, STEP))
    store.drop_forgettings(connection, NOTED_DAYS)
    due = store.sessions_due(connection, QUIET_DAYS, EPISODES_MIN, SESSIONS_MAX)
    summaries = sum(_sum_up(connection, settings, scope) for scope in due)
    return Consolidated(summaries, away, deleted)


def _all(step: Callable[[], int]) -> int:
    """What all steps did together, the last of which found nothing more."""
    total = 0
    while done := step():
        total += done
    return total


def _sum_up(connection: Connection, settings: Settings, scope: Scope) -> int:
    """Makes the summaries of a session; how many."""
    made = 0
    while True:
        episodes = store.episodes_of(connection, scope, EPISODES_MAX)
        if len(episodes) < EPISODES_MIN or not _one(connection, settings, scope, episodes):
            return made
        made += 1


def _one(connection: Connection, settings: Settings, scope: Scope, episodes: list[Episode]) -> bool:
    """Makes one summary. False if an episode was changed meanwhile: the next run makes it then."""
    found = sentences([episode.content for episode in episodes])[:SENTENCES_MAX]
    vectors = embedder(settings).encode(found)
    text = " ".join(found[place] for place in apart(central, vectors))
    [vector] = embedder(settings).encode([text])
    summary = NewMemory(
        id=new_id("mem"),
        content=text,
        memory_type="semantic",
        importance=max(episode.importance for episode in episodes),
        metadata={
            "made_by": "consolidation",
            "episodes": str(len(episodes)),
            "from": episodes[0].created_at.isoformat(timespec="seconds"),
            "to": episodes[-1].created_at.isoformat(timespec="seconds"),
        },
    )
    seqs = [episode.seq for episode in episodes]
    with connection.transaction():
        if not store.still_unsummed(connection, seqs):
            return False
        # Not merged into what is only alike: that would go when one of the episodes does.
        insert(connection, scope, summary, as_text(vector))
        store.note_summary(connection, seqs, summary.id)
    return True
