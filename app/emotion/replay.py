"""The sequential model: a session's history, folded again from its first line.

What stands in Postgres must be what comes out here, however many turns, ripples and resets came at
once. It holds for a history that was written with one half-life.
"""

from collections.abc import Sequence

from app.emotion.session import Entry, Event, Session, after
from app.emotion.state import REST, Pad, length, total


def replayed(start: Session, events: Sequence[Event], half_life: float) -> Session:
    """The session that events make of `start`, one after the other."""
    for event in events:
        start = after(start, event, half_life)
    return start


def divergence(session: Session, entries: Sequence[Entry], half_life: float) -> float:
    """How far a session's deviation is from what its history (oldest first) comes to: 0 but for
    rounding.

    A history whose beginning was dropped is folded from its first line, which tells the deviation
    after it. Raises ValueError for one with a hole, or that ends before the session's last event.
    """
    seqs = [entry.seq for entry in entries]
    if seqs != list(range(session.seq - len(seqs) + 1, session.seq + 1)):
        raise ValueError(f"{session.session_id} has had {session.seq} events, not those of {seqs}")
    if not entries:
        return length(session.deviation)
    first, rest = entries[0], entries[1:]
    begun = Session(
        session.tenant_id, session.session_id, {}, {}, REST, first.deviation, first.event.at,
        first.seq, 0, session.created, session.now,
    )  # fmt: skip
    if first.seq == 1:
        begun = Session(
            session.tenant_id, session.session_id, {}, {}, REST, REST, session.created, 0, 0,
            session.created, session.now,
        )  # fmt: skip
        rest = entries
    model = replayed(begun, [entry.event for entry in rest], half_life).deviation
    stored = session.deviation
    return length(total((model, Pad(-stored[0], -stored[1], -stored[2]))))
