"""Memories that matter more or less for what became of answers."""

import pytest

from app.db.connect import Connection
from app.ids import new_id
from app.memory.weighing.store import weigh
from tests.app.line import tenant


def memory(connection: Connection, tenant_id: str, importance: float) -> str:
    """The id of a new memory of this importance."""
    made = new_id("mem")
    connection.execute(
        "WITH made AS (INSERT INTO memory (id, tenant_id, shelf, session, memory_type, content, "
        "digest, vector, metadata) VALUES (%s, %s, 1, 0, 'episodic', %s, %s, %s, '{}') "
        "RETURNING seq) INSERT INTO memory_use (seq, importance) SELECT seq, %s FROM made",
        (made, tenant_id, made, made.encode(), str([1] + [0] * 383), importance),
    )
    return made


def importance(connection: Connection, memory_id: str) -> float:
    row = connection.execute(
        "SELECT importance FROM memory_use JOIN memory USING (seq) WHERE id = %s", (memory_id,)
    ).fetchone()
    assert row is not None
    return float(row[0])


def test_importance_moves_by_its_step_within_0_and_1(connection: Connection) -> None:
    mine = tenant(connection)
    low, middle, high = (memory(connection, mine, value) for value in (0.01, 0.5, 0.98))
    moved = weigh(connection, mine, {low: -0.05, middle: 0.05, high: 0.05})
    assert moved == pytest.approx({low: -0.01, middle: 0.05, high: 0.02}, abs=1e-6)
    now = [importance(connection, one) for one in (low, middle, high)]
    assert now == pytest.approx([0.0, 0.55, 1.0])
    assert weigh(connection, mine, {high: 0.05, low: -0.05}) == {}


def test_what_was_moved_can_be_moved_back(connection: Connection) -> None:
    mine = tenant(connection)
    one = memory(connection, mine, 0.98)
    moved = weigh(connection, mine, {one: 0.05})
    weigh(connection, mine, {name: -step for name, step in moved.items()})
    assert importance(connection, one) == pytest.approx(0.98)


def test_anothers_memories_and_those_put_away_stay_as_they_are(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    theirs, away = memory(connection, other, 0.5), memory(connection, mine, 0.5)
    connection.execute("UPDATE memory SET forgotten_at = now() WHERE id = %s", (away,))
    assert weigh(connection, mine, {theirs: 0.05, away: 0.05, "mem_nobody": 0.05}) == {}
    assert importance(connection, theirs) == importance(connection, away) == 0.5
    assert weigh(connection, mine, {}) == {}
