"""What a desk's attempts leave in the books: the charge at its price, what the platform owes for
each call, and limits corrected by what was used."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import Door, HandedBack
from app.limits.limiter import Limiter
from app.redis import Wire
from app.usage.store import record_prices
from tests.app.events.parts import names
from tests.app.line import (
    LANE,
    assert_proven,
    claim_one,
    draft,
    funds,
    state,
    tenant,
    transfers,
)
from tests.app.taking import take, taken
from tests.workers.inference.desks import CREDIT, finished, log_of, speaking, started
from tests.workers.inference.scripted import (
    COST,
    USAGE,
    Part,
    Scripted,
    completion,
    model,
    say,
    whole,
)
from workers.inference.desk import Desk
from workers.inference.run import Attempt, Ended
from workers.providers.base import ProviderError

HOLD = 10**8
TEXT = "x" * 400
"""It is counted as 100 tokens, where the provider tells no usage."""

REQUEST = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
PROMPT = 15 * 1000
"""What the prompt costs, where the provider tells no usage: its 57 bytes are 15 tokens."""

CUT = PROMPT + 100 * 2000


def stall() -> None:
    gevent.event.Event().wait(30)


def broken() -> ProviderError:
    """A call that a provider took on and then failed."""
    return ProviderError("incomplete", "it broke")


def play(*scripts: list[Part]) -> Scripted:
    return Scripted(list(scripts))


def asked(connection: Connection, door: Door = "background") -> str:
    """Admits one job; its id."""
    one = draft(tenant(connection, CREDIT), HOLD, door=door, request=REQUEST)
    assert store.admit_group(connection, [one]) == ["admitted"]
    return one.id


def owed(connection: Connection, job_id: str) -> list[tuple[int, str, int]]:
    """What the books say is owed: attempt, provider, amount. The calls of each attempt that is not
    lost must say the same."""
    rows = connection.execute(
        "SELECT attempt, credit, amount FROM transfer WHERE job_id = %s AND kind = 'cost' "
        "ORDER BY attempt, credit",
        (job_id,),
    ).fetchall()
    posted = [(row[0], row[1].removeprefix("provider/"), row[2]) for row in rows]
    for attempt in store.attempts_of(connection, job_id):
        told = [round(call["platform_cost_usd"] * 10**9) for call in attempt["calls"]]
        if attempt["outcome"] not in ("lost", "running"):
            assert sum(told) == sum(n for at, _, n in posted if at == attempt["attempt"])
    return posted


@pytest.mark.parametrize("door", ["sync", "stream", "background"])
def test_an_answer_is_charged_at_its_price_and_owed_to_who_gave_it(
    desk: Desk, connection: Connection, door: Door
) -> None:
    known = speaking(
        desk, model("m", "p"), p=play([completion()] if door == "sync" else whole("x"))
    )
    record_prices(connection, known.price_list())
    job_id = asked(connection, door)
    desk.answer(LANE, 1)
    assert owed(connection, job_id) == [(1, "p", COST)]
    assert transfers(connection, job_id)["settle"] == COST
    row = connection.execute(
        "SELECT r.prompt_tokens, r.cached_tokens, r.completion_tokens, r.provider, r.cost, "
        "r.platform_cost, p.model FROM result AS r JOIN price AS p ON p.version = r.price"
    ).fetchone()
    assert row == (USAGE["prompt_tokens"], 0, USAGE["completion_tokens"], "p", COST, COST, "m")
    assert_proven(connection)


def test_each_provider_that_was_called_is_owed_and_one_is_charged(
    desk: Desk, connection: Connection
) -> None:
    dead = ProviderError("unavailable", "down", status=503, retryable=False)
    providers = {"p": play([broken()]), "q": play([dead]), "r": play(whole("x"))}
    known = speaking(desk, model("m", "p", "q", "r"), **providers)
    record_prices(connection, known.price_list())
    job_id = asked(connection)
    desk.answer(LANE, 1)
    assert owed(connection, job_id) == [(1, "p", PROMPT), (1, "r", COST)]
    assert transfers(connection, job_id)["settle"] == COST
    [attempt] = store.attempts_of(connection, job_id)
    assert [call["platform_cost_usd"] for call in attempt["calls"]] == [
        PROMPT / 10**9, 0, COST / 10**9,
    ]  # fmt: skip
    assert_proven(connection)


def test_an_answer_that_was_cut_is_owed_beside_the_one_that_stands(
    desk: Desk, connection: Connection
) -> None:
    speaking(desk, model("m", "p"), p=play([say(TEXT), broken()], whole("x")))
    job_id = asked(connection)
    for _ in range(2):
        desk.answer(LANE, 1)
    assert [a["outcome"] for a in store.attempts_of(connection, job_id)] == [
        "interrupted", "completed",
    ]  # fmt: skip
    assert owed(connection, job_id) == [(1, "p", CUT), (2, "p", COST)]
    assert transfers(connection, job_id)["settle"] == COST
    assert_proven(connection)


def test_an_answer_that_a_stopping_worker_hands_back_is_owed(
    desk: Desk, connection: Connection
) -> None:
    speaking(desk, model("m", "p"), p=play([say(TEXT), stall]))
    job_id = asked(connection)
    answering = started(desk, 1)
    desk.drain(0.01)
    finished(answering)
    assert (state(connection, job_id), owed(connection, job_id)) == ("queued", [(1, "p", CUT)])
    assert claim_one(connection).strikes == 0
    assert_proven(connection)


def test_a_cancelled_answer_is_owed_and_charged_alike(desk: Desk, connection: Connection) -> None:
    known = speaking(desk, model("m", "p"), p=play([say(TEXT), stall]))
    record_prices(connection, known.price_list())
    job_id = asked(connection)
    answering = started(desk, 1)
    desk.cancel(job_id)
    finished(answering)
    assert state(connection, job_id) == "cancelled"
    assert owed(connection, job_id) == [(1, "p", CUT)]
    assert transfers(connection, job_id)["settle"] == CUT
    assert_proven(connection)


def test_a_failed_answer_is_owed_and_not_charged(desk: Desk, connection: Connection) -> None:
    speaking(desk, model("m", "p"), p=play([say(TEXT), broken()]))
    job_id = asked(connection, "stream")
    desk.answer(LANE, 1)
    assert state(connection, job_id) == "failed"
    assert owed(connection, job_id) == [(1, "p", CUT)]
    assert transfers(connection, job_id) == {
        "hold": HOLD,
        "settle": 0,
        "release": HOLD,
        "cost": CUT,
    }
    assert_proven(connection)


@pytest.mark.parametrize("heir", [False, True])
def test_a_worker_that_hears_that_its_job_is_lost_still_owes_its_calls(
    desk: Desk, connection: Connection, heir: bool
) -> None:
    speaking(desk, model("m", "p"), p=play([say(TEXT), stall]))
    job_id = asked(connection)
    answering = started(desk, 1)
    store.requeue(connection, [HandedBack(job_id, 1, None)], "lost")
    if heir:
        claim_one(connection, "wrk_heir")
    desk.lose(job_id)
    finished(answering)
    assert owed(connection, job_id) == [(1, "p", CUT)]
    assert state(connection, job_id) == ("running" if heir else "queued")
    row = connection.execute("SELECT attempt, strikes FROM open_job").fetchone()
    assert row == (1 + heir, 1)
    assert_proven(connection)


def test_a_test_keys_job_moves_no_money_at_all(desk: Desk, connection: Connection) -> None:
    """It holds nothing, and runs on a provider that costs nothing."""
    one = draft(
        tenant(connection, CREDIT), 0, request=REQUEST.replace('"m"', '"builtin/sim"')
    )  # fmt: skip
    assert store.admit_group(connection, [one]) == ["admitted"]
    desk.answer(LANE, 1)
    assert (state(connection, one.id), transfers(connection, one.id)) == ("completed", {})
    row = connection.execute(
        "SELECT cost, platform_cost, prompt_tokens > 0, completion_tokens > 0, provider FROM result"
    ).fetchone()
    assert row == (0, 0, True, True, "simulator")
    assert funds(connection, one.tenant_id) == (CREDIT, 0)
    assert_proven(connection)


def reserve(connection: Connection, limiter: Limiter, session: str | None = None) -> str:
    """Admits one job that reserves 700 tokens and a session; its tenant."""
    one = take(limiter, draft(tenant(connection, CREDIT), HOLD, request=REQUEST), 700, session)
    assert store.admit_group(connection, [one]) == ["admitted"]
    return one.tenant_id


@pytest.mark.parametrize("session", [None, "chat"])
@pytest.mark.parametrize(
    ("script", "used"),
    [
        ([say("a"), say("", "stop", {"prompt_tokens": 30, "completion_tokens": 12})], 42),
        ([ProviderError("auth", "no", status=401)], 0),
    ],
)
def test_an_end_leaves_the_limits_with_what_was_used(
    desk: Desk, connection: Connection, wire: Wire, limiter: Limiter, session: str | None,
    script: list[Part], used: int,
) -> None:  # fmt: skip
    speaking(desk, model("m", "p"), p=play(script))
    mine = reserve(connection, limiter, session)
    assert taken(limiter, wire, mine) == (700, 1)
    desk.answer(LANE, 1)
    desk._parts.publisher.drain(10)
    assert taken(limiter, wire, mine) == (used, 0)
    assert wire.call(("KEYS", "lim:*:ses*")) == [[]]
    [row] = connection.execute("SELECT floor(extract(epoch FROM created_at) / 86400)::int FROM job")
    assert store.tokens_of_day(connection, mine, row[0]) == used


def test_an_attempt_that_is_cut_leaves_the_limits_to_the_next(
    desk: Desk, connection: Connection, wire: Wire, limiter: Limiter
) -> None:
    speaking(desk, model("m", "p"), p=play([say(TEXT), broken()], whole("x")))
    mine = reserve(connection, limiter)
    desk.answer(LANE, 1)
    desk._parts.publisher.drain(10)
    assert taken(limiter, wire, mine) == (700, 1)
    desk.answer(LANE, 1)
    desk._parts.publisher.drain(10)
    assert taken(limiter, wire, mine)[1] == 0


def test_a_zombie_that_settles_late_owes_its_call_and_leaves_the_limits_alone(
    desk: Desk, connection: Connection, wire: Wire, limiter: Limiter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Another attempt has the job by then, and its reservation with it."""
    run: Callable[[Attempt], Ended] = Attempt.run

    def overtaken(attempt: Attempt) -> Ended:
        ended = run(attempt)
        store.requeue(connection, [HandedBack(attempt.job.id, 1, None)], "lost")
        claim_one(connection, "wrk_heir")
        return ended

    monkeypatch.setattr(Attempt, "run", overtaken)
    speaking(desk, model("m", "p"), p=play(whole("x")))
    mine = reserve(connection, limiter)
    desk.answer(LANE, 1)
    [(job_id,)] = connection.execute("SELECT id FROM open_job").fetchall()
    assert owed(connection, job_id) == [(1, "p", COST)]
    assert "completed" not in names(log_of(desk, wire, job_id))
    assert taken(limiter, wire, mine) == (700, 1)
    assert funds(connection, mine) == (CREDIT - HOLD, HOLD)
    assert_proven(connection)


def test_a_settlement_made_twice_owes_its_call_once(
    desk: Desk, connection: Connection, wire: Wire, limiter: Limiter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its first commit was in doubt."""
    settle = store.settle_group

    def twice(line: Connection, owner: str, outcomes: list[Any]) -> list[bool]:
        assert settle(line, owner, outcomes) == [True]
        return settle(line, owner, outcomes)

    monkeypatch.setattr(store, "settle_group", twice)
    speaking(desk, model("m", "p"), p=play(whole("x")))
    mine = reserve(connection, limiter)
    desk.answer(LANE, 1)
    desk._parts.publisher.drain(10)
    assert taken(limiter, wire, mine) == (USAGE["total_tokens"], 0)
    [(job_id,)] = connection.execute("SELECT id FROM result").fetchall()
    assert owed(connection, job_id) == [(1, "p", COST)]
    assert_proven(connection)
