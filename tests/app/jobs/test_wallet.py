"""Two hundred clients at once on a wallet with credit for a hundred jobs: exactly a hundred are
admitted, and the wallet is never below zero."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import gevent
import psycopg
import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import NoCredit
from app.jobs import store
from app.jobs.model import Draft
from app.jobs.service import Jobs
from app.queue import Bell
from app.settings import Settings
from tests.app.jobs.conftest import Make, together
from tests.app.line import assert_proven, draft, funds, tenant

CLIENTS = 200
HOLD = 7
CREDIT = HOLD * CLIENTS // 2
P99_S = 3.0
GROUP = 5
"""Smaller than the real groups, so that the two processes' commits meet often."""

Told = tuple[str, float]
"""What a client was told, and after how many seconds."""


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The SQLSTATE of each group that Postgres refused, such as 40P01 for a deadlock; the group
    commit would try its items again one by one and say nothing."""
    seen: list[str | None] = []
    admit = store.admit_group

    def watched(connection: Connection, drafts: list[Draft]) -> list[str]:
        try:
            return admit(connection, drafts)
        except psycopg.Error as error:
            seen.append(error.sqlstate)
            raise

    monkeypatch.setattr(store, "admit_group", watched)
    return seen


def p99(told: list[Told]) -> float:
    return sorted(seconds for _, seconds in told)[len(told) * 99 // 100 - 1]


def check(connection: Connection, mine: str, told: list[Told]) -> None:
    assert Counter(verdict for verdict, _ in told) == {"admitted": 100, "no_credit": 100}
    assert funds(connection, mine) == (0, 100 * HOLD)
    row = connection.execute(
        "SELECT count(*), sum(amount) FROM transfer WHERE kind = 'hold'"
    ).fetchone()
    assert row == (100, 100 * HOLD)
    assert connection.execute("SELECT count(*) FROM open_job").fetchone() == (100,)
    assert_proven(connection)
    assert p99(told) < P99_S


def clients_of_a_web(settings: Settings, mine: str, count: int) -> list[Told]:
    """A web process's worth: a greenlet for each client, in a thread with a hub of its own."""
    reads = Reads(settings.postgres, "reads")
    jobs = Jobs(settings.postgres, settings.redis, Bell(settings.redis), reads)
    jobs._admissions._limit = GROUP

    def ask() -> Told:
        began, verdict = time.monotonic(), "admitted"
        try:
            jobs.admit(draft(mine, HOLD))
        except NoCredit:
            verdict = "no_credit"
        return verdict, time.monotonic() - began

    try:
        clients = [gevent.spawn(ask) for _ in range(count)]
        gevent.joinall(clients, 30, raise_error=True)
        return [client.value for client in clients]
    finally:
        jobs._admissions.close()
        gevent.get_hub().destroy(destroy_loop=True)


def test_two_web_processes_admit_what_the_wallet_covers(
    connection: Connection, gevent_sockets: None, line_settings: Callable[..., Settings],
    refusals: list[str | None],
) -> None:  # fmt: skip
    mine = tenant(connection, CREDIT)
    web = partial(clients_of_a_web, line_settings(), mine, CLIENTS // 2)
    left, right = together(web, web)
    check(connection, mine, left + right)
    assert refusals == []


def test_clients_with_connections_of_their_own_are_admitted_as_the_wallet_covers(
    connection: Connection, connections: Make, refusals: list[str | None]
) -> None:
    mine = tenant(connection, CREDIT)
    free: SimpleQueue[Connection] = SimpleQueue()
    for one in connections(20):
        free.put(one)

    def ask() -> Told:
        began, line = time.monotonic(), free.get()
        try:
            [verdict] = store.admit_group(line, [draft(mine, HOLD)])
        finally:
            free.put(line)
        return verdict, time.monotonic() - began

    check(connection, mine, together(*[ask] * CLIENTS))
    assert refusals == []
