"""Budgets while much happens at once."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from app.db.connect import Connection, line_connection
from app.errors import MoonpoolError
from app.jobs import store
from app.jobs.model import HandedBack
from app.ledger.budgets import create_budget, delete_budget, list_budgets
from app.ledger.store import refund
from tests.app.ledger.parts import events, now, of
from tests.app.line import LANE, assert_proven, draft, outcome, tenant


def test_the_hard_limit_is_never_exceeded_whatever_comes_at_once(
    connection: Connection, books: str
) -> None:
    """Threads with connections of their own admit, settle, cancel, requeue, refund and make and
    delete budgets; none meets a deadlock, and no budget is ever over its limit."""
    tenants = [tenant(connection, 100_000) for _ in range(2)]
    kept = {mine: of(connection, mine, 900, 1000) for mine in tenants}
    over: list[tuple[Any, ...]] = []

    def work(number: int) -> None:
        random = Random(number)
        with line_connection(books, f"thread {number}") as own:
            for _ in range(60):
                step(own, random, tenants, f"wrk_{number}")
                over.extend(own.execute("SELECT * FROM budget WHERE spent + held > hard"))

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, number) for number in range(6)]:
            done.result()
    assert over == []
    assert_proven(connection)
    for mine in tenants:
        charged = connection.execute(
            "SELECT coalesce(sum(amount), 0)::int FROM transfer "
            "WHERE kind = 'settle' AND tenant_id = %s",
            (mine,),
        ).fetchone()
        spent, _ = now(connection, kept[mine])
        assert (spent,) == charged
        assert spent > 0
    assert sorted(events(connection)) == sorted(
        (mine, "budget.soft_limit_reached", {"id": kept[mine].id})
        for mine in tenants
        if now(connection, kept[mine])[0] >= 900
    )


def step(own: Connection, random: Random, tenants: list[str], owner: str) -> None:
    """One of the things that happen to jobs and budgets."""
    mine = random.choice(tenants)
    what = random.randrange(10)
    if what < 4:
        drafts = [draft(random.choice(tenants), random.randint(1, 60)) for _ in range(3)]
        store.admit_group(own, drafts)
    elif what < 7:
        claimed = store.claim(own, LANE, owner, 3)
        if random.random() < 0.2:
            store.requeue(own, [HandedBack(c.id, c.attempt, None) for c in claimed], "released")
        elif claimed:
            store.settle_group(own, owner, [outcome(c, random.randint(0, 60)) for c in claimed])
    elif what == 7:
        rows = own.execute("SELECT id FROM open_job WHERE tenant_id = %s LIMIT 2", (mine,))
        ids = [row[0] for row in rows]
        store.void(own, ids, "queued", "cancelled", None, "client")
    else:
        try:
            if what == 8:
                row = own.execute("SELECT max(id) FROM result WHERE cost > 0").fetchone()
                refund(own, row[0] if row else "", 1, "sorry")
            elif random.random() < 0.5:
                create_budget(own, mine, "app", "tests", "day", None, 5000)
            else:
                made = [b for b in list_budgets(own, mine) if b.scope == "app"]
                delete_budget(own, mine, made[0].id if made else "")
        except MoonpoolError:
            return
