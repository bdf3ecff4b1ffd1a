"""The tables of the router: profiles, which one is active, routed answers that were rated, and what
shadow mode counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.errors import Conflict, NotFound
from app.uniroute.model import AUTO, Lesson, Seen

LESSONS_MAX = 10_000
_VERSIONS: LiteralString = """
    SELECT version, models, origin, parent, who, created_at, version = (
        SELECT version FROM router_activation WHERE undone_at IS NULL ORDER BY seq DESC LIMIT 1)
    FROM router_profile
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A profile in the database, without what is in it. `parent` is the profile that feedback was
    counted into."""

    version: str
    models: tuple[str, ...]
    origin: str
    parent: str | None
    who: str
    created_at: datetime
    active: bool


def active_version(connection: Connection) -> str | None:
    """The version of the active profile; None for the one that comes along."""
    row = connection.execute(
        "SELECT version FROM router_activation WHERE undone_at IS NULL ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return row[0] if row else None


def models_of(connection: Connection, version: str) -> tuple[str, ...]:
    """The models of a profile, in the order of their names."""
    row = connection.execute(
        "SELECT models FROM router_profile WHERE version = %s", (version,)
    ).fetchone()
    return tuple(row[0]) if row else ()


def body_of(connection: Connection, version: str) -> str:
    """A profile as its file has it. Raises NotFound."""
    row = connection.execute(
        "SELECT body FROM router_profile WHERE version = %s", (version,)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no profile {version!r}.", param="version")
    body: str = row[0]
    return body


def versions(connection: Connection, limit: int = 100) -> list[Version]:
    """The profiles in the database, newest first."""
    rows = connection.execute(_VERSIONS + "ORDER BY created_at DESC, version LIMIT %s", (limit,))
    return [_read(row) for row in rows]


def find_version(connection: Connection, version: str) -> Version | None:
    """A profile in the database, or None."""
    row = connection.execute(_VERSIONS + "WHERE version = %s", (version,)).fetchone()
    return _read(row) if row else None


def _read(row: tuple[Any, ...]) -> Version:
    version, models, origin, parent, who, created_at, active = row
    return Version(version, tuple(models), origin, parent, who, created_at, bool(active))


def keep_profile(
    connection: Connection, version: str, body: str, models: Iterable[str], who: str,
    parent: str | None = None,
) -> bool:  # fmt: skip
    """Keeps a profile; whether it was not there before. With a `parent` it is one that feedback
    was counted into."""
    done = connection.execute(
        "INSERT INTO router_profile (version, body, models, origin, parent, who) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (version) DO NOTHING",
        (version, body, list(models), "feedback" if parent else "pushed", parent, who),
    )
    return done.rowcount == 1


def drop_unused(connection: Connection, keep: str) -> None:
    """Deletes profiles of feedback that were never active, but for `keep`."""
    connection.execute(
        "DELETE FROM router_profile AS p WHERE p.origin = 'feedback' AND p.version <> %s "
        "AND NOT EXISTS (SELECT 1 FROM router_activation AS a WHERE a.version = p.version)",
        (keep,),
    )


def activate(connection: Connection, version: str | None, who: str) -> None:
    """Makes a profile the active one; None: the one that comes along. Raises NotFound."""
    if version is not None and find_version(connection, version) is None:
        raise NotFound(f"There is no profile {version!r}.", param="version")
    connection.execute(
        "INSERT INTO router_activation (version, who) VALUES (%s, %s)", (version, who)
    )


def roll_back(connection: Connection, who: str) -> str | None:
    """Undoes the last activation; returns the version that is active now, None for the one that
    comes along. Raises Conflict if there is none to undo."""
    undone = connection.execute(
        "UPDATE router_activation SET undone_at = now(), undone_by = %s WHERE seq = (SELECT seq "
        "FROM router_activation WHERE undone_at IS NULL ORDER BY seq DESC LIMIT 1 FOR UPDATE)",
        (who,),
    )
    if undone.rowcount == 0:
        raise Conflict("No activation is left to undo.")
    return active_version(connection)


def lessons(connection: Connection, base: str) -> list[Lesson]:
    """What standing feedback says of answers that were routed by the profile `base`, or by one
    that feedback made of it; of the newest answers, if there are many. One whose content was
    deleted teaches nothing."""
    rows = connection.execute(
        "SELECT f.tenant_id, f.rating, r.body "
        "FROM feedback AS f JOIN result AS r ON r.id = f.job_id "
        "WHERE f.model = %s AND f.replaced_by IS NULL AND r.body IS NOT NULL "
        "ORDER BY f.job_id DESC LIMIT %s",
        (AUTO, LESSONS_MAX),
    ).fetchall()
    made = connection.execute("SELECT version FROM router_profile WHERE parent = %s", (base,))
    known = {base, *(row[0] for row in made)}
    found = [_lesson(tenant_id, rating, body, known) for tenant_id, rating, body in rows]
    return [one for one in found if one is not None]


def _lesson(tenant_id: str, rating: float, body: str, known: set[str]) -> Lesson | None:
    routing = orjson.loads(body).get("routing")
    if not isinstance(routing, dict) or routing.get("profile") not in known:
        return None
    shares: Mapping[str, float] = routing["clusters"]
    placed = {int(cluster): float(share) for cluster, share in shares.items()}
    return Lesson(tenant_id, str(routing["answered_model"]), placed, (1 - rating) / 2)


def count_seen(connection: Connection, seen: Mapping[tuple[str, str], Seen]) -> None:
    """Adds what shadow mode has seen to today's counts, by the model asked for and the one that
    would have been chosen."""
    for (asked, chosen), one in sorted(seen.items()):
        connection.execute(
            "INSERT INTO router_shadow AS s (day, asked, chosen, requests, asked_error, "
            "chosen_error, asked_cost, chosen_cost) "
            "VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (day, asked, chosen) DO UPDATE SET requests = s.requests + "
            "EXCLUDED.requests, asked_error = s.asked_error + EXCLUDED.asked_error, "
            "chosen_error = s.chosen_error + EXCLUDED.chosen_error, "
            "asked_cost = s.asked_cost + EXCLUDED.asked_cost, "
            "chosen_cost = s.chosen_cost + EXCLUDED.chosen_cost",
            (asked, chosen, one.requests, one.asked_error, one.chosen_error, one.asked_cost,
             one.chosen_cost),
        )  # fmt: skip


def seen_since(connection: Connection, days: int) -> list[tuple[date, str, str, Seen]]:
    """What shadow mode counted in the last `days` days, newest first."""
    rows: Any = connection.execute(
        "SELECT day, asked, chosen, requests, asked_error, chosen_error, asked_cost, chosen_cost "
        "FROM router_shadow WHERE day > (now() AT TIME ZONE 'UTC')::date - %s "
        "ORDER BY day DESC, requests DESC, asked, chosen",
        (days,),
    )
    return [(row[0], row[1], row[2], Seen(*row[3:])) for row in rows]
