"""Budgets: what they start with, how the job line keeps to them, and what changes them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.accounts.audit import audit_page
from app.accounts.store import create_key, rotate_key
from app.db.connect import Connection, line_connection
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import store
from app.jobs.model import Draft, HandedBack
from app.ledger.budgets import (
    Budget,
    change_budget,
    create_budget,
    delete_budget,
    get_budget,
    list_budgets,
    pass_on_budgets,
    spendable,
)
from tests.app.ledger.parts import events, now, of
from tests.app.line import (
    LANE,
    admit,
    assert_proven,
    claim_one,
    draft,
    funds,
    outcome,
    running,
    tenant,
)


def ends(connection: Connection, mine: str, cost: int = 30, **options: Any) -> str:
    """The id of a job of `mine` that was admitted, ran and ended."""
    verdict = verdict_of(connection, draft(mine, **options))
    assert verdict.startswith("admitted")
    job = claim_one(connection)
    assert store.settle_group(connection, "wrk_a", [outcome(job, cost)]) == [True]
    return job.id


def verdict_of(connection: Connection, wanted: Draft) -> str:
    [verdict] = store.admit_group(connection, [wanted])
    return verdict


def yesterday(connection: Connection, budget: Budget) -> None:
    """Moves a budget's period back by a day."""
    connection.execute(
        "UPDATE budget SET period_start = period_start - 1, warned_for = warned_for - 1 "
        "WHERE id = %s",
        (budget.id,),
    )


def test_a_budget_is_made_found_changed_listed_and_deleted(connection: Connection) -> None:
    mine = tenant(connection)
    made = create_budget(connection, mine, "app", "tests", "month", 5, 10, actor="key_1")
    assert made.id.startswith("bud_")
    assert (made.scope, made.subject, made.period) == ("app", "tests", "month")
    assert (made.soft, made.hard, made.spent, made.held) == (5, 10, 0, 0)
    today = datetime.now(UTC).date()
    assert made.period_start == today.replace(day=1)
    assert made.period_end == (made.period_start + timedelta(days=31)).replace(day=1)
    daily = of(connection, mine, None, 7)
    assert daily.period_end - daily.period_start == timedelta(days=1)
    assert list_budgets(connection, mine) == [made, daily]
    assert list_budgets(connection, mine, made.id, 1) == [daily]
    changed = change_budget(connection, mine, made.id, {"soft": None, "hard": 20}, actor="key_1")
    assert (changed.soft, changed.hard) == (None, 20)
    assert get_budget(connection, mine, made.id) == changed
    delete_budget(connection, mine, made.id, actor="key_1")
    assert list_budgets(connection, mine) == [daily]
    noted = [(n.action, n.target, n.actor) for n in audit_page(connection, mine, None, 4)[::-1]]
    assert noted == [
        ("budget.create", made.id, "key_1"),
        ("budget.create", daily.id, "cli"),
        ("budget.change", made.id, "key_1"),
        ("budget.delete", made.id, "key_1"),
    ]


def test_one_budget_a_scope_subject_and_period(connection: Connection) -> None:
    mine = tenant(connection)
    of(connection, mine, 1, None)
    create_budget(connection, mine, "tenant", mine, "month", 1, None)
    create_budget(connection, mine, "app", "a", "day", 1, None)
    create_budget(connection, mine, "app", "b", "day", 1, None)
    with pytest.raises(Conflict):
        of(connection, mine, 2, 3)
    assert len(list_budgets(connection, mine)) == 4


def test_a_key_is_the_tenants_own(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    key = create_key(connection, other, "other's").id
    for key_id in (key, "key_nobody"):
        with pytest.raises(NotFound):
            create_budget(connection, mine, "key", key_id, "day", None, 5)
    assert create_budget(connection, other, "key", key, "day", None, 5).subject == key


def test_a_keys_budget_passes_to_the_key_in_its_place(connection: Connection) -> None:
    mine = tenant(connection, 10_000)
    old = create_key(connection, mine, "old").id
    budget = create_budget(connection, mine, "key", old, "day", None, 250)
    keys = [old]
    for _ in range(2):
        made = rotate_key(connection, keys[-1], grace_s=60)
        assert made is not None
        pass_on_budgets(connection, mine, keys[-1], made.id)
        keys.append(made.id)
    assert get_budget(connection, mine, budget.id).subject == keys[-1]
    # What an old key asks for in its grace counts in the same budget.
    for key, cost in ((keys[-1], 60), (old, 100)):
        asked = replace(draft(mine), key_id=key)
        assert verdict_of(connection, asked) == "admitted"
        store.settle_group(connection, "wrk_a", [outcome(claim_one(connection), cost)])
    assert now(connection, budget) == (160, 0)
    for key in keys:
        asked = replace(draft(mine), key_id=key)
        assert verdict_of(connection, asked) == f"over_budget {budget.id}"
        assert spendable(connection, mine, "tests", key) == 90
    assert spendable(connection, mine, "tests", "key_other") == 10_000 - 160
    assert_proven(connection)


def test_a_new_budget_of_a_rotated_key_counts_what_the_old_one_did(connection: Connection) -> None:
    mine = tenant(connection, 10_000)
    keys = [create_key(connection, mine, "old").id]
    for _ in range(2):
        made = rotate_key(connection, keys[-1], grace_s=60)
        assert made is not None
        keys.append(made.id)
    for key in (*keys, create_key(connection, mine, "other").id):
        assert verdict_of(connection, replace(draft(mine), key_id=key)) == "admitted"
    store.settle_group(connection, "wrk_a", [outcome(claim_one(connection), 30)])
    budget = create_budget(connection, mine, "key", keys[-1], "day", None, 1000)
    assert now(connection, budget) == (30, 200)
    assert_proven(connection)


@pytest.mark.parametrize(("soft", "hard"), [(None, None), (6, 5)])
def test_limits_make_sense(connection: Connection, soft: int | None, hard: int | None) -> None:
    mine = tenant(connection)
    with pytest.raises(InvalidRequest):
        of(connection, mine, soft, hard)
    budget = of(connection, mine, 1, 9)
    with pytest.raises(InvalidRequest):
        change_budget(connection, mine, budget.id, {"soft": soft, "hard": hard})
    assert get_budget(connection, mine, budget.id) == budget


def test_anothers_budget_is_not_found(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    budget = of(connection, other, 1, 9)
    actions: list[Callable[[], object]] = [
        lambda: get_budget(connection, mine, budget.id),
        lambda: change_budget(connection, mine, budget.id, {"hard": 5}),
        lambda: delete_budget(connection, mine, budget.id),
    ]
    for action in actions:
        with pytest.raises(NotFound):
            action()
    with pytest.raises(NotFound):
        of(connection, "ten_nobody", 1, None)
    assert list_budgets(connection, mine) == []
    assert get_budget(connection, other, budget.id) == budget


def test_a_hold_that_might_break_the_hard_limit_is_refused(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 250)
    assert budget.remaining == 250
    jobs = admit(connection, mine, 2)
    assert verdict_of(connection, draft(mine)) == f"over_budget {budget.id}"
    assert verdict_of(connection, draft(mine, 50)) == "admitted"
    assert verdict_of(connection, draft(mine, 1)) == f"over_budget {budget.id}"
    assert now(connection, budget) == (0, 250)
    assert get_budget(connection, mine, budget.id).remaining == 0
    assert store.void(connection, jobs, "queued", "cancelled", None, "client")
    assert now(connection, budget) == (0, 50)
    assert_proven(connection)


def test_the_hard_limit_holds_within_one_group(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 250)
    verdicts = store.admit_group(connection, [draft(mine) for _ in range(4)])
    assert verdicts == ["admitted"] * 2 + [f"over_budget {budget.id}"] * 2
    assert funds(connection, mine) == (1_000_000 - 200, 200)
    assert_proven(connection)


def test_a_job_that_credit_does_not_cover_holds_nothing_of_a_budget(
    connection: Connection,
) -> None:
    mine = tenant(connection, 50)
    budget = of(connection, mine, None, 1000)
    assert verdict_of(connection, draft(mine)) == "no_credit"
    assert now(connection, budget) == (0, 0)
    assert_proven(connection)


def test_a_free_job_runs_on_a_spent_budget(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 100)
    ends(connection, mine, 100)
    assert verdict_of(connection, draft(mine, 1)) == f"over_budget {budget.id}"
    assert verdict_of(connection, draft(mine, 0)) == "admitted"


def test_a_budget_holds_for_its_own_app_or_key_alone(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    key = create_key(connection, mine, "one").id
    of_app = create_budget(connection, mine, "app", "tests", "day", None, 150)
    of_key = create_budget(connection, mine, "key", key, "day", None, 150)
    by_app, by_key, by_neither = draft(mine), draft(mine), draft(mine)
    by_key.app_id, by_key.key_id, by_neither.app_id = "x", key, "y"
    for one in (by_app, by_key, by_neither):
        assert verdict_of(connection, one) == "admitted"
    assert (now(connection, of_app), now(connection, of_key)) == ((0, 100), (0, 100))
    assert verdict_of(connection, draft(other)) == "admitted"
    assert verdict_of(connection, draft(mine)) == f"over_budget {of_app.id}"
    both = draft(mine, 50)
    both.key_id = key
    assert verdict_of(connection, both) == "admitted"
    assert (now(connection, of_app), now(connection, of_key)) == ((0, 150), (0, 150))
    assert_proven(connection)


def test_a_settled_job_moves_from_held_to_spent(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 250)
    daily = create_budget(connection, mine, "app", "tests", "month", None, 1000)
    ends(connection, mine, 30)
    assert (now(connection, budget), now(connection, daily)) == ((30, 0), (30, 0))
    assert get_budget(connection, mine, budget.id).remaining == 220
    assert_proven(connection)


def test_what_ends_without_an_answer_gives_back_what_it_held(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 1000)
    lost = running(connection, mine)
    back = [HandedBack(lost.id, lost.attempt, None)]
    assert store.requeue(connection, back, "lost") == [(lost.id, LANE)]
    assert now(connection, budget) == (0, 100)
    assert store.void(connection, [lost.id], "queued", "expired", None, "upkeep")
    given_up = running(connection, mine)
    assert store.void(connection, [given_up.id], "running", "failed", None, "upkeep")
    assert now(connection, budget) == (0, 0)
    assert_proven(connection)


def test_the_soft_limit_warns_at_admission_and_once_a_period_by_webhook(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, 50, None)
    assert not budget.over_soft
    assert budget.remaining is None
    ends(connection, mine, 30)
    assert (verdict_of(connection, draft(mine)), events(connection)) == ("admitted", [])
    last = claim_one(connection)
    assert store.settle_group(connection, "wrk_a", [outcome(last, 20)]) == [True]
    told = [(mine, "budget.soft_limit_reached", {"id": budget.id})]
    assert events(connection) == told
    assert get_budget(connection, mine, budget.id).over_soft
    assert verdict_of(connection, draft(mine)) == f"admitted {budget.id}"
    last = claim_one(connection)
    assert store.settle_group(connection, "wrk_a", [outcome(last, 1)]) == [True]
    assert events(connection) == told
    yesterday(connection, budget)
    assert not get_budget(connection, mine, budget.id).over_soft
    ends(connection, mine, 49)
    assert events(connection) == told
    ends(connection, mine, 1)
    assert events(connection) == told * 2
    change_budget(connection, mine, budget.id, {"hard": 5000})
    ends(connection, mine, 1)
    assert events(connection) == told * 2
    change_budget(connection, mine, budget.id, {"soft": 51})
    ends(connection, mine, 1)
    assert events(connection) == told * 3
    assert_proven(connection)


def test_a_new_period_begins_with_nothing_spent_and_what_is_held(connection: Connection) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 150)
    ends(connection, mine, 40)
    over_night = running(connection, mine)
    yesterday(connection, budget)
    assert now(connection, budget) == (0, 100)
    assert verdict_of(connection, draft(mine, 51)) == f"over_budget {budget.id}"
    assert verdict_of(connection, draft(mine, 50)) == "admitted"
    assert now(connection, budget) == (0, 150)
    yesterday(connection, budget)
    assert store.settle_group(connection, "wrk_a", [outcome(over_night, 30)]) == [True]
    assert now(connection, budget) == (30, 50)
    assert_proven(connection)


def test_a_payment_that_began_before_midnight_does_not_turn_the_period_back(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    budget = of(connection, mine, None, 1000)
    job = running(connection, mine)
    connection.execute("UPDATE budget SET period_start = period_start + 1, spent = 7")
    assert store.settle_group(connection, "wrk_a", [outcome(job, 30)]) == [True]
    found = get_budget(connection, mine, budget.id)
    assert (found.spent, found.period_start) == (37, budget.period_end)


def test_a_new_budget_counts_what_was_spent_and_is_held(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    ends(connection, mine, 30)
    ends(connection, mine, 12)
    ends(connection, other, 99)
    long_ago = ends(connection, mine, 50)
    connection.execute(
        "UPDATE result SET finished_at = now() - interval '32 days' WHERE id = %s", (long_ago,)
    )
    job = running(connection, mine)
    foreign = draft(mine)
    foreign.app_id = "y"
    assert verdict_of(connection, foreign) == "admitted"
    admit(connection, other)
    whole = create_budget(connection, mine, "tenant", mine, "month", None, 1000)
    of_app = create_budget(connection, mine, "app", "tests", "day", None, 1000)
    of_key = create_budget(connection, other, "tenant", other, "day", None, 1000)
    assert (whole.spent, whole.held) == (42, 200)
    assert (of_app.spent, of_app.held) == (42, 100)
    assert (of_key.spent, of_key.held) == (99, 100)
    assert_proven(connection)
    assert store.settle_group(connection, "wrk_a", [outcome(job, 8)]) == [True]
    assert (now(connection, whole), now(connection, of_app)) == ((50, 100), (50, 0))
    assert_proven(connection)


def test_a_budget_made_while_a_job_is_locked_does_not_wait_for_it(
    connection: Connection, books: str
) -> None:
    mine = tenant(connection)
    locked, free = admit(connection, mine, 2)
    with line_connection(books, "other") as other, other.transaction():
        other.execute("SELECT 1 FROM open_job WHERE id = %s FOR UPDATE", (locked,))
        budget = of(connection, mine, None, 1000)
    assert budget.held == 100
    rows: dict[str, str | None] = dict(
        connection.execute("SELECT id, budgets FROM open_job").fetchall()
    )
    assert rows == {locked: None, free: budget.id}
    assert_proven(connection)


def test_a_deleted_budgets_jobs_end_as_ever(connection: Connection) -> None:
    mine = tenant(connection)
    budget, other = (
        of(connection, mine, 1, 1000),
        create_budget(connection, mine, "app", "tests", "day", None, 1000),
    )
    job = running(connection, mine)
    [waits] = admit(connection, mine)
    delete_budget(connection, mine, budget.id)
    assert_proven(connection)
    assert store.settle_group(connection, "wrk_a", [outcome(job, 30)]) == [True]
    assert store.void(connection, [waits], "queued", "cancelled", None, "client")
    assert now(connection, other) == (30, 0)
    assert events(connection) == []
    assert_proven(connection)
