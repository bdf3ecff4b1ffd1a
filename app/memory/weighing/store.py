"""How much memories matter, changed by what became of the answers that were given them."""

from collections.abc import Mapping

from app.db.connect import Connection


def weigh(connection: Connection, tenant_id: str, steps: Mapping[str, float]) -> dict[str, float]:
    """Moves the importance of a tenant's memories by a step each, within 0 to 1. Returns how far
    each moved; memories that are gone, put away or another's are left out."""
    if not steps:
        return {}
    rows = connection.execute(
        "WITH wanted AS ("
        "    SELECT u.seq, m.id, u.importance AS was, "
        "           greatest(0, least(1, u.importance + w.step))::real AS wish "
        "    FROM unnest(%(ids)s::text[], %(steps)s::float8[]) AS w (id, step) "
        "    JOIN memory AS m ON m.id = w.id JOIN memory_use AS u ON u.seq = m.seq "
        "    WHERE m.tenant_id = %(tenant)s AND m.forgotten_at IS NULL "
        "    ORDER BY u.seq FOR UPDATE OF u"
        ") UPDATE memory_use AS u SET importance = wish FROM wanted WHERE u.seq = wanted.seq "
        "AND wish <> was RETURNING wanted.id, (wish - was)::float8",
        {"tenant": tenant_id, "ids": list(steps), "steps": list(steps.values())},
    )
    return dict(rows.fetchall())
