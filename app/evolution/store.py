"""A tenant's traits and each move of them, in Postgres.

Whoever moves a trait calls `lock` first, in a transaction; the rest relies on that lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import LiteralString

from app.db.connect import Connection
from app.evolution.drift import Bounds, Drift
from app.evolution.model import Change, ChangeKind, Span, Standing, TraitRow, Violation

_CHANGES: LiteralString = """
    SELECT c.id, c.seq, c.kind, c.trait, c.baseline, c.before, c.after, c.kept, c.undone_by,
           c.feedback_id, c.actor, c.at, f.job_id, f.rating, f.reason
    FROM trait_change AS c LEFT JOIN feedback AS f ON f.id = c.feedback_id
    WHERE c.tenant_id = %(tenant)s
"""


@dataclass(frozen=True, slots=True)
class NewChange:
    """A move of a trait to be kept; `kept` is None where all of an adaptation is. What it leaves is
    `row`; `before` is the drift that it begins from."""

    id: str
    kind: ChangeKind
    before: int
    row: TraitRow
    feedback_id: str | None = None
    actor: str | None = None


def lock(connection: Connection, tenant_id: str) -> date:
    """Waits until nobody else moves this tenant's traits, and keeps it so until the transaction
    ends. Returns the day (UTC) that it is."""
    connection.execute(
        "INSERT INTO evolution (tenant_id) VALUES (%s) ON CONFLICT DO NOTHING", (tenant_id,)
    )
    connection.execute("SELECT 1 FROM evolution WHERE tenant_id = %s FOR UPDATE", (tenant_id,))
    return today(connection)


def today(connection: Connection) -> date:
    """The day (UTC) that it is: by the clock, since a transaction may have begun before a wait."""
    row = connection.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date").fetchone()
    assert row is not None
    day: date = row[0]
    return day


def trait_rows(connection: Connection, tenant_id: str) -> dict[str, TraitRow]:
    """The traits of a tenant that were ever moved, by name."""
    rows = connection.execute(
        "SELECT trait, baseline, bound_total, bound_daily, drift, day_start, day "
        "FROM trait_drift WHERE tenant_id = %s ORDER BY trait",
        (tenant_id,),
    )
    return {
        name: TraitRow(name, baseline, Bounds(total, daily), Drift(now, start), day)
        for name, baseline, total, daily, now, start, day in rows
    }


def insert_change(connection: Connection, tenant_id: str, change: NewChange) -> None:
    """Keeps a move of a trait, and the trait as it is then."""
    row = change.row
    values = {
        "tenant": tenant_id, "id": change.id, "kind": change.kind, "trait": row.trait,
        "baseline": row.baseline, "total": row.bounds.total, "daily": row.bounds.daily,
        "before": change.before, "after": row.drift.now, "day": row.day,
        "day_start": row.drift.day_start, "feedback": change.feedback_id, "actor": change.actor,
        "kept": row.drift.now - change.before if change.kind == "feedback" else 0,
    }  # fmt: skip
    connection.execute(
        "INSERT INTO trait_drift (tenant_id, trait, baseline, bound_total, bound_daily, drift, "
        "day, day_start) VALUES (%(tenant)s, %(trait)s, %(baseline)s, %(total)s, %(daily)s, "
        "%(after)s, %(day)s, %(day_start)s) ON CONFLICT (tenant_id, trait) DO UPDATE SET "
        "baseline = excluded.baseline, bound_total = excluded.bound_total, "
        "bound_daily = excluded.bound_daily, drift = excluded.drift, day = excluded.day, "
        "day_start = excluded.day_start",
        values,
    )
    connection.execute(
        "WITH head AS (UPDATE evolution SET changes = changes + 1 WHERE tenant_id = %(tenant)s "
        "RETURNING changes) "
        "INSERT INTO trait_change (id, tenant_id, seq, kind, trait, baseline, bound_total, "
        "bound_daily, before, after, day, day_start, kept, feedback_id, actor) "
        "SELECT %(id)s, %(tenant)s, changes, %(kind)s, %(trait)s, %(baseline)s, %(total)s, "
        "%(daily)s, %(before)s, %(after)s, %(day)s, %(day_start)s, %(kept)s, %(feedback)s, "
        "%(actor)s FROM head",
        values,
    )


def standing(
    connection: Connection, tenant_id: str, *, feedback_id: str | None = None
) -> list[Standing]:
    """The adaptations that stand, oldest first; those that a feedback caused, or all."""
    rows = connection.execute(
        "SELECT id, seq, trait, kept FROM trait_change WHERE tenant_id = %(tenant)s "
        "AND kept <> 0 AND (%(feedback)s::text IS NULL OR feedback_id = %(feedback)s) "
        "ORDER BY seq",
        {"tenant": tenant_id, "feedback": feedback_id},
    )
    return [Standing(*row) for row in rows]


def span_after(connection: Connection, tenant_id: str, number: int) -> Span | None:
    """From the first adaptation that stands behind `number` others that do, to the last of all;
    None if there is none."""
    row = connection.execute(
        "SELECT seq, (SELECT changes FROM evolution WHERE tenant_id = %(tenant)s) "
        "FROM trait_change WHERE tenant_id = %(tenant)s AND kept <> 0 "
        "ORDER BY seq OFFSET %(number)s LIMIT 1",
        {"tenant": tenant_id, "number": number},
    ).fetchone()
    return Span(*row) if row else None


def kept_in(connection: Connection, tenant_id: str, span: Span) -> dict[str, int]:
    """How far what stands of a span's adaptations has moved each trait, by name."""
    rows = connection.execute(
        "SELECT trait, sum(kept)::int FROM trait_change WHERE tenant_id = %s AND kept <> 0 "
        "AND seq BETWEEN %s AND %s GROUP BY trait ORDER BY trait",
        (tenant_id, *span),
    )
    return dict(rows.fetchall())


def undo(connection: Connection, tenant_id: str, trait: str, span: Span, by: str) -> None:
    """Marks what stands of a trait's adaptations in a span as taken back by a change."""
    connection.execute(
        "UPDATE trait_change SET kept = 0, undone_by = %s WHERE tenant_id = %s AND trait = %s "
        "AND kept <> 0 AND seq BETWEEN %s AND %s",
        (by, tenant_id, trait, *span),
    )


def keep_of(connection: Connection, change_id: str, kept: int, undone_by: str) -> None:
    """Sets what of an adaptation stands."""
    connection.execute(
        "UPDATE trait_change SET kept = %(kept)s, "
        "undone_by = CASE WHEN %(kept)s = 0 THEN %(by)s END WHERE id = %(id)s",
        {"kept": kept, "by": undone_by, "id": change_id},
    )


def trim(connection: Connection, tenant_id: str, trait: str, excess: int, by: str) -> None:
    """Takes `excess` millionths off what stands of a trait's adaptations of that sign, the newest
    first. There must be so much."""
    connection.execute(
        "UPDATE trait_change AS c SET kept = now.kept, "
        "undone_by = CASE WHEN now.kept = 0 THEN %(by)s END FROM ("
        "    SELECT id, kept AS was, sign(kept) * greatest(0, least(abs(kept), "
        "           sum(abs(kept)) OVER (ORDER BY seq DESC) - abs(%(excess)s))) AS kept "
        "    FROM trait_change WHERE tenant_id = %(tenant)s AND trait = %(trait)s "
        "    AND kept <> 0 AND sign(kept) = sign(%(excess)s)"
        ") AS now WHERE c.id = now.id AND now.kept <> now.was",
        {"tenant": tenant_id, "trait": trait, "excess": excess, "by": by},
    )


def list_changes(
    connection: Connection, tenant_id: str, limit: int, *, after: int = 0
) -> list[Change]:
    """Moves of a tenant's traits with what caused them, newest first; those after the number
    `after`."""
    rows = connection.execute(
        _CHANGES + "AND c.seq > %(after)s ORDER BY c.seq DESC LIMIT %(limit)s",
        {"tenant": tenant_id, "after": after, "limit": limit},
    )
    return [Change(*row) for row in rows]


def find_change(connection: Connection, tenant_id: str, change_id: str) -> Change | None:
    """A tenant's move of a trait, or None."""
    row = connection.execute(
        _CHANGES + "AND c.id = %(id)s", {"tenant": tenant_id, "id": change_id}
    ).fetchone()
    return Change(*row) if row else None


def generation(connection: Connection, tenant_id: str) -> tuple[int, int]:
    """How many adaptations of a tenant stand, and how many there ever were."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE kept <> 0), count(*) FROM trait_change "
        "WHERE tenant_id = %s AND kind = 'feedback'",
        (tenant_id,),
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


CHECKS: Mapping[str, LiteralString] = {
    "a trait keeps the bounds that it was moved under": """
        SELECT tenant_id, 'trait ' || trait, 'drifted ' || drift || ' from ' || baseline
               || ', since the day began ' || drift - day_start || '; bounds ' || bound_total
               || ' and ' || bound_daily
        FROM trait_drift WHERE abs(drift) > bound_total OR abs(drift - day_start) > bound_daily
             OR baseline + drift NOT BETWEEN 0 AND 1000000""",
    "so did each move": """
        SELECT tenant_id, 'change ' || id, 'to ' || after || ' from ' || baseline
               || ', on a day that began with ' || day_start || '; bounds ' || bound_total
               || ' and ' || bound_daily
        FROM trait_change WHERE abs(after) > bound_total OR abs(after - day_start) > bound_daily
             OR baseline + after NOT BETWEEN 0 AND 1000000""",
    "each move begins where the last one ended, and the first at the baseline": """
        SELECT tenant_id, 'change ' || id, 'begins at ' || before || ', not at ' || last
        FROM (SELECT *, coalesce(lag(after) OVER moves, 0) AS last FROM trait_change
              WINDOW moves AS (PARTITION BY tenant_id, trait ORDER BY seq)) AS c
        WHERE before <> last""",
    "a day begins with the drift that the day before ended with": """
        SELECT tenant_id, 'change ' || id, 'on a day that began with ' || day_start || ', not '
               || expected
        FROM (SELECT *, CASE WHEN day = lag(day) OVER moves THEN lag(day_start) OVER moves
                        ELSE before END AS expected FROM trait_change
              WINDOW moves AS (PARTITION BY tenant_id, trait ORDER BY seq)) AS c
        WHERE kind IN ('feedback', 'replaced') AND day_start <> expected""",
    "a trait is where its last move left it": """
        SELECT t.tenant_id, 'trait ' || t.trait, 'is at ' || t.drift || ', its last move ended at '
               || coalesce(c.after::text, 'nothing')
        FROM trait_drift AS t LEFT JOIN LATERAL (
            SELECT * FROM trait_change AS c WHERE c.tenant_id = t.tenant_id AND c.trait = t.trait
            ORDER BY seq DESC LIMIT 1
        ) AS c ON true
        WHERE (t.drift, t.day_start, t.day) IS DISTINCT FROM (c.after, c.day_start, c.day)""",
    "a trait's drift is what stands of its adaptations": """
        SELECT t.tenant_id, 'trait ' || t.trait, 'drifted ' || t.drift || ', adaptations sum to '
               || coalesce(s.total, 0)
        FROM trait_drift AS t LEFT JOIN (
            SELECT tenant_id, trait, sum(kept) AS total FROM trait_change GROUP BY 1, 2
        ) AS s USING (tenant_id, trait)
        WHERE t.drift <> coalesce(s.total, 0)""",
    "no move is missing": """
        SELECT e.tenant_id, 'tenant ' || e.tenant_id, e.changes || ' moves, of which '
               || count(c.id) || ' are there'
        FROM evolution AS e LEFT JOIN trait_change AS c ON c.tenant_id = e.tenant_id
        GROUP BY e.tenant_id HAVING e.changes <> count(c.id)
                                    OR e.changes <> coalesce(max(c.seq), 0)""",
}


_ALL: LiteralString = "SELECT place, message FROM ({}) AS f (tenant, place, message)"
_OF_ONE: LiteralString = _ALL + " WHERE tenant = %(tenant)s"


def violations(connection: Connection, tenant_id: str | None = None) -> list[Violation]:
    """What breaks the invariant of `drift`, as the rows tell it; of one tenant, or of all."""
    form = _ALL if tenant_id is None else _OF_ONE
    found = []
    for name, query in CHECKS.items():
        rows = connection.execute(form.format(query), {"tenant": tenant_id})
        found += [Violation(name, place, message) for place, message in rows]
    return found
