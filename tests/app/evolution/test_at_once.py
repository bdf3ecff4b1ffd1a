"""Much feedback at once, from many connections: nothing is lost, and no bound is exceeded."""

from concurrent.futures import ThreadPoolExecutor

from app.db.connect import Connection, line_connection
from app.evolution import service, store
from app.evolution.feedback.store import list_feedback
from app.evolution.model import NewFeedback, Rollback
from tests.app.evolution.parts import (
    TERMS,
    answer,
    assert_holds,
    drifts,
    less,
    more,
    rate,
    roll_back,
    terms,
)
from tests.app.line import tenant


def test_sixty_at_once_add_up(connection: Connection, books: str) -> None:
    """In no order do they meet a bound on their way, so each counts in full."""
    mine, wide = tenant(connection), terms(daily=1_000_000, total=1_000_000, calm=500_000)
    jobs = [answer(connection, mine) for _ in range(60)]

    def work(part: int) -> None:
        with line_connection(books, f"thread {part}") as own:
            for number in range(part, 60, 10):
                new = less("calm") if number % 4 == 0 else more("calm")
                rate(own, mine, new, of=jobs[number], under=wide)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(work, range(10)))
    status = service.status(connection, wide, mine, 100)
    assert drifts(connection, mine, wide) == {"calm": 300_000}
    assert [change.seq for change in status.changes] == list(range(60, 0, -1))
    assert_holds(connection, mine, wide)


def test_feedback_on_one_answer_at_once_leaves_one_standing(
    connection: Connection, books: str
) -> None:
    mine = tenant(connection)
    job_id = answer(connection, mine)

    def work(number: int) -> None:
        with line_connection(books, f"thread {number}") as own:
            rate(own, mine, less("curious"), of=job_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    given = list_feedback(connection, mine, None, job_id, 100)
    assert len(given) == 8
    assert [one.replaced_by for one in given].count(None) == 1
    assert drifts(connection, mine) == {"curious": -10_000}
    assert_holds(connection, mine)


def test_rollbacks_beside_feedback_keep_the_bounds(connection: Connection, books: str) -> None:
    tenants = [tenant(connection) for _ in range(2)]
    jobs = {mine: [answer(connection, mine) for _ in range(24)] for mine in tenants}

    def work(number: int) -> None:
        mine = tenants[number % 2]
        with line_connection(books, f"thread {number}") as own:
            for place in range(number // 2, 24, 3):
                new = NewFeedback(1.0, traits={"curious": "less", "empathetic": "more"})
                rate(own, mine, new, of=jobs[mine][place])
                if place % 5 == 0:
                    roll_back(own, mine, Rollback(to_generation=1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    for mine in tenants:
        assert_holds(connection, mine)
        assert store.generation(connection, mine)[0] >= 1
        # No rollback begins a new day here, since none is far from where this one began.
        assert all(abs(drift) <= 50_000 for drift in drifts(connection, mine, TERMS).values())
