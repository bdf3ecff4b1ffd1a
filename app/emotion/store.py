"""Sessions' feelings in Postgres, whose clock is theirs.

Whoever changes a session has locked its row, and reads the clock once it has: so the order of the
events, their numbers and their times are one order, and none is lost. Several sessions are locked
in the order of their ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.emotion.ripples import ACTIVE_S, Ripple
from app.emotion.session import Entry, Event, Session
from app.emotion.state import Pad

HISTORY_MAX = 500
"""Lines of history that a session keeps, beside all of the last hour."""

PRUNE_EVERY = 50
"""Events after which a session's oldest lines are dropped."""

ACTIVE_MAX = 10_000
"""Active sessions that are looked at together: those that were active last."""

TREND_MAX = 10_000
"""Lines of history that a trend is read from: the newest."""

_SESSIONS: LiteralString = """
    SELECT s.tenant_id, s.session_id, s.asked, s.traits, s.baseline, s.deviation,
           extract(epoch FROM s.at)::float8, s.seq, s.turns,
           extract(epoch FROM s.created_at)::float8,
           extract(epoch FROM greatest(s.at, clock_timestamp()))::float8,
           r.vectors, r.starts, r.durations
    FROM emotion_session AS s, LATERAL (
        SELECT array_agg(vector ORDER BY seq),
               array_agg(extract(epoch FROM start_at)::float8 ORDER BY seq),
               array_agg(duration ORDER BY seq)
        FROM emotion_ripple WHERE tenant_id = s.tenant_id AND session_id = s.session_id
        AND start_at + duration * interval '1 s' > now()
    ) AS r (vectors, starts, durations)
"""


_COLUMNS = (
    "tenant_id", "session_id", "asked", "traits", "baseline", "deviation", "at", "seq", "turns",
    "created", "now", "vectors", "starts", "durations",
)  # fmt: skip


def _session(row: Sequence[Any]) -> Session:
    told = dict(zip(_COLUMNS, row, strict=True))
    vectors, starts, durations = [told.pop(name) or () for name in _COLUMNS[-3:]]
    ripples = zip((Pad(*vector) for vector in vectors), starts, durations, strict=True)
    told["baseline"], told["deviation"] = Pad(*told["baseline"]), Pad(*told["deviation"])
    return Session(**told, ripples=tuple(Ripple(*ripple) for ripple in ripples))


def ensure(
    connection: Connection, tenant_id: str, session_id: str, traits: Mapping[str, float],
    baseline: Pad,
) -> None:  # fmt: skip
    """Makes a session at its baseline, if the tenant has none of this id."""
    connection.execute(
        "INSERT INTO emotion_session (tenant_id, session_id, asked, traits, baseline) "
        "VALUES (%s, %s, '{}', %s, %s) ON CONFLICT DO NOTHING",
        (tenant_id, session_id, orjson.dumps(traits).decode(), list(baseline)),
    )


def lock(connection: Connection, tenant_id: str, session_ids: Iterable[str]) -> list[Session]:
    """Locks those of a tenant's sessions that are there until the transaction ends, and reads them,
    in the order of their ids."""
    locked = connection.execute(
        "SELECT session_id FROM emotion_session WHERE tenant_id = %s AND session_id = ANY (%s) "
        "ORDER BY session_id FOR UPDATE",
        (tenant_id, list(session_ids)),
    ).fetchall()
    # A statement of its own: the one that waited for the lock saw ripples as they were before. It
    # may see a session that was not there for the other, and so is not locked.
    rows = connection.execute(
        _SESSIONS + "WHERE s.tenant_id = %s AND s.session_id = ANY (%s) ORDER BY s.session_id",
        (tenant_id, [session_id for (session_id,) in locked]),
    )
    return [_session(row) for row in rows]


def find(connection: Connection, tenant_id: str, session_id: str) -> Session | None:
    """A tenant's session as it is now, or None."""
    row = connection.execute(
        _SESSIONS + "WHERE s.tenant_id = %s AND s.session_id = %s", (tenant_id, session_id)
    ).fetchone()
    return _session(row) if row else None


def page(connection: Connection, tenant_id: str, after: str | None, limit: int) -> list[Session]:
    """A tenant's sessions by id, those after the id `after`."""
    rows = connection.execute(
        _SESSIONS + "WHERE s.tenant_id = %s AND s.session_id > %s ORDER BY s.session_id LIMIT %s",
        (tenant_id, after or "", limit),
    )
    return [_session(row) for row in rows]


def active(connection: Connection, tenant_id: str | None) -> list[Session]:
    """The active sessions of a tenant, or of all with None; the most recent first."""
    rows = connection.execute(
        _SESSIONS + "WHERE s.active_at > now() - %s * interval '1 s' "
        "AND (%s::text IS NULL OR s.tenant_id = %s) "
        "ORDER BY s.active_at DESC, s.session_id LIMIT %s",
        (ACTIVE_S, tenant_id, tenant_id, ACTIVE_MAX),
    )
    return [_session(row) for row in rows]


def active_ids(connection: Connection, tenant_id: str, limit: int) -> list[str]:
    """The ids of a tenant's active sessions, the most recent first."""
    rows = connection.execute(
        "SELECT session_id FROM emotion_session WHERE tenant_id = %s "
        "AND active_at > now() - %s * interval '1 s' ORDER BY active_at DESC, session_id LIMIT %s",
        (tenant_id, ACTIVE_S, limit),
    )
    return [session_id for (session_id,) in rows]


def done_by(connection: Connection, tenant_id: str, job_id: str) -> dict[str, str]:
    """What a job has done already: the kind of its event on each session."""
    rows = connection.execute(
        "SELECT session_id, kind FROM emotion_history WHERE tenant_id = %s AND job_id = %s",
        (tenant_id, job_id),
    )
    return dict(rows.fetchall())


_WRITE: LiteralString = """
    WITH changed AS (
        UPDATE emotion_session SET asked = %(asked)s, traits = %(traits)s,
            baseline = %(baseline)s, deviation = %(deviation)s, at = to_timestamp(%(at)s),
            seq = %(seq)s, turns = %(turns)s, active_at = CASE
            WHEN %(kind)s IN ('turn', 'ripple') THEN to_timestamp(%(at)s) ELSE active_at END
        WHERE tenant_id = %(tenant)s AND session_id = %(session)s
    ), told AS (
        INSERT INTO emotion_history (tenant_id, session_id, seq, at, kind, emotion, trigger,
            intensity, impulse, duration, deviation, state, job_id)
        VALUES (%(tenant)s, %(session)s, %(seq)s, to_timestamp(%(at)s), %(kind)s, %(emotion)s,
            %(trigger)s, %(intensity)s, %(impulse)s, %(duration)s, %(deviation)s, %(state)s,
            %(job)s)
    ), ended AS (
        DELETE FROM emotion_ripple WHERE tenant_id = %(tenant)s AND session_id = %(session)s
        AND (%(kind)s = 'reset' OR start_at + duration * interval '1 s' <= now())
    )
    INSERT INTO emotion_ripple (tenant_id, session_id, seq, vector, start_at, duration)
    SELECT %(tenant)s, %(session)s, %(seq)s, %(impulse)s::float8[], to_timestamp(%(at)s),
           %(duration)s::float8 WHERE %(duration)s::float8 IS NOT NULL
"""


def write(connection: Connection, changes: Sequence[tuple[Session, Entry]]) -> None:
    """Writes down sessions that the caller has locked, each with the event it went through."""
    given = [_given(session, entry) for session, entry in changes]
    if len(given) == 1:
        connection.execute(_WRITE, given[0])
    else:
        with connection.cursor() as cursor:
            cursor.executemany(_WRITE, given)
    for session, _ in changes:
        if session.seq % PRUNE_EVERY == 0:
            _prune(connection, session)


def _given(session: Session, entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "tenant": session.tenant_id, "session": session.session_id,
        "asked": orjson.dumps(session.asked).decode(),
        "traits": orjson.dumps(session.traits).decode(),
        "baseline": list(session.baseline), "turns": session.turns, "seq": entry.seq,
        "at": event.at, "kind": event.kind, "emotion": event.emotion, "trigger": event.trigger,
        "intensity": event.intensity, "impulse": list(event.impulse), "duration": event.duration,
        "deviation": list(entry.deviation), "state": list(entry.state), "job": event.job_id,
    }  # fmt: skip


def _prune(connection: Connection, session: Session) -> None:
    """Drops the oldest lines. Those of the last hour stay: a job that is begun anew looks for its
    own among them."""
    connection.execute(
        "DELETE FROM emotion_history WHERE tenant_id = %s AND session_id = %s AND seq <= %s "
        "AND at < now() - interval '1 hour'",
        (session.tenant_id, session.session_id, session.seq - HISTORY_MAX),
    )


def history(
    connection: Connection, tenant_id: str, session_id: str, limit: int = HISTORY_MAX
) -> list[Entry]:
    """The last lines of a session's history, the newest last."""
    rows = connection.execute(
        "SELECT seq, kind, extract(epoch FROM at)::float8, emotion, trigger, intensity, impulse, "
        "duration, job_id, deviation, state FROM emotion_history "
        "WHERE tenant_id = %s AND session_id = %s ORDER BY seq DESC LIMIT %s",
        (tenant_id, session_id, limit),
    )
    entries = [
        Entry(
            seq,
            Event(kind, at, emotion, trigger, intensity, Pad(*impulse), duration, job_id),
            Pad(*deviation),
            Pad(*state),
        )
        for (
            seq, kind, at, emotion, trigger, intensity, impulse, duration, job_id, deviation, state,
        ) in rows
    ]  # fmt: skip
    return entries[::-1]


def trend(
    connection: Connection, tenant_id: str | None, window_s: float
) -> list[list[tuple[float, float]]]:
    """For each session of a tenant, or of all with None, that had events in the last `window_s`:
    when (unix seconds), the oldest first, and the valence that was shown after it."""
    rows = connection.execute(
        "SELECT tenant_id, session_id, extract(epoch FROM at)::float8, state[1] "
        "FROM emotion_history WHERE at > now() - %s * interval '1 s' "
        "AND (%s::text IS NULL OR tenant_id = %s) ORDER BY at DESC, seq DESC LIMIT %s",
        (window_s, tenant_id, tenant_id, TREND_MAX),
    ).fetchall()
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for owner, session_id, at, valence in reversed(rows):
        series.setdefault((owner, session_id), []).append((at, valence))
    return list(series.values())


def forget(connection: Connection, tenant_id: str, session_id: str) -> bool:
    """Deletes a session with its history and ripples; False if the tenant has none of this id."""
    gone = connection.execute(
        "DELETE FROM emotion_session WHERE tenant_id = %s AND session_id = %s",
        (tenant_id, session_id),
    )
    return gone.rowcount > 0
