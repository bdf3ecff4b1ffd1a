"""Fair turns: what a tenant has waiting never holds up another's first job.

The bound is that of start-time fair queueing (Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM
1996, theorem 1): over any interval in which tenants f and m both have jobs waiting,
|W_f / r_f - W_m / r_m| <= l_f / r_f + l_m / r_m. All jobs count one and all weights are one, so
two tenants with jobs waiting never differ by more than 2 claims.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.connect import Connection
from app.jobs import store
from app.jobs.model import HandedBack, Lane
from tests.app.line import LANE, admit, claim_one, draft, tenant

CLAIM_SIZES = (1, 2, 7, 16)


def claims(connection: Connection, count: int, size: int = 1, lane: Lane = LANE) -> list[str]:
    """The tenants of the next `count` claimed jobs, claimed `size` at a time."""
    got: list[str] = []
    while len(got) < count:
        wanted = min(size, count - len(got))
        group = store.claim(connection, lane, "wrk_a", wanted)
        assert len(group) == wanted
        got += [job.tenant_id for job in group]
    return got


@pytest.mark.parametrize("before", [0, 1, 500])
@pytest.mark.parametrize("size", CLAIM_SIZES)
def test_a_first_job_is_among_the_next_two_past_a_thousand_of_another(
    connection: Connection, before: int, size: int
) -> None:
    crowd, newcomer = tenant(connection), tenant(connection)
    drafts = [draft(crowd) for _ in range(1000)]
    store.admit_group(connection, drafts)
    claims(connection, before, size)
    admit(connection, newcomer)
    assert newcomer in claims(connection, 2)


@pytest.mark.parametrize("admitted_in", [1, 128])
def test_it_does_not_matter_in_what_groups_the_thousand_came(
    connection: Connection, admitted_in: int
) -> None:
    crowd, newcomer = tenant(connection), tenant(connection)
    for _ in range(256 // admitted_in):
        admit(connection, crowd, admitted_in)
    admit(connection, newcomer)
    assert newcomer in claims(connection, 2)


def test_one_group_with_both_gives_each_its_turn(connection: Connection) -> None:
    crowd, newcomer = tenant(connection), tenant(connection)
    drafts = [draft(crowd) for _ in range(50)] + [draft(newcomer)]
    store.admit_group(connection, drafts)
    assert newcomer in claims(connection, 2)


@pytest.mark.parametrize("size", CLAIM_SIZES)
@pytest.mark.parametrize("tenants", [2, 3, 5])
def test_each_of_k_waiting_tenants_gets_its_kth_of_the_claims(
    connection: Connection, tenants: int, size: int
) -> None:
    """Within one job of n/k at each point, which is closer than the theorem's 2 between any two,
    because all of them wait from the start."""
    each = 40
    all_of_them = [tenant(connection) for _ in range(tenants)]
    for one in all_of_them:
        admit(connection, one, each)
    got: Counter[str] = Counter()
    for n, one in enumerate(claims(connection, tenants * each, size), start=1):
        got[one] += 1
        if n % size == 0:
            assert all(abs(got[who] - n / tenants) <= 1 for who in all_of_them)


def test_a_tenant_alone_is_not_slowed(connection: Connection) -> None:
    mine = tenant(connection)
    admit(connection, mine, 30)
    assert claims(connection, 30, 7) == [mine] * 30
    assert store.claim(connection, LANE, "wrk_a", 1) == []


def test_idle_time_is_no_credit(connection: Connection) -> None:
    """Who comes back after long gets every second turn from then on, not all of them."""
    busy, idle = tenant(connection), tenant(connection)
    admit(connection, idle)
    admit(connection, busy, 300)
    claims(connection, 201)
    admit(connection, idle, 100)
    got = Counter(claims(connection, 100))
    assert abs(got[idle] - got[busy]) <= 2


def test_use_of_an_empty_lane_is_no_debt(connection: Connection) -> None:
    """Who had the lane for itself does not wait for it afterwards."""
    busy, new = tenant(connection), tenant(connection)
    for _ in range(3):
        admit(connection, busy, 100)
        claims(connection, 100, 16)
    admit(connection, new, 50)
    admit(connection, busy, 50)
    got = Counter(claims(connection, 50))
    assert abs(got[new] - got[busy]) <= 2


def test_lanes_take_turns_by_themselves(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    admit(connection, mine, 100, lane="batch")
    admit(connection, other, 2, lane="interactive")
    admit(connection, mine, 2, lane="interactive")
    assert set(claims(connection, 2)) == {mine, other}
    assert claims(connection, 5, 5, "batch") == [mine] * 5


def test_a_job_queued_again_keeps_its_turn(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    [first] = admit(connection, mine)
    admit(connection, mine, 50)
    admit(connection, other, 50)
    lost = claim_one(connection)
    assert lost.id == first
    claims(connection, 60)
    store.requeue(connection, [HandedBack(first, 1, None)], "lost")
    assert claim_one(connection).id == first


def test_a_job_queued_again_does_not_turn_back_the_clock(connection: Connection) -> None:
    """A tenant that comes after it starts with the others, not far ahead of them."""
    mine, new = tenant(connection), tenant(connection)
    [first] = admit(connection, mine)
    admit(connection, mine, 100)
    claims(connection, 51)
    store.requeue(connection, [HandedBack(first, 1, None)], "lost")
    assert claim_one(connection).id == first
    admit(connection, new, 20)
    got = Counter(claims(connection, 20))
    assert abs(got[new] - got[mine]) <= 2


def test_turns_that_were_not_used_are_given_back(connection: Connection) -> None:
    """Who cancels a thousand waiting jobs does not pay for them with a thousand turns."""
    fickle, steady = tenant(connection), tenant(connection)
    admit(connection, steady, 1000)
    dropped = admit(connection, fickle, 1000)
    store.void(connection, dropped, "queued", "cancelled", None, "client")
    admit(connection, fickle)
    assert fickle in claims(connection, 2)


def test_a_turn_that_was_used_is_not_given_back(connection: Connection) -> None:
    """A job that ran, was queued again and then cancelled has had its turn."""
    mine, other = tenant(connection), tenant(connection)
    admit(connection, mine, 40)
    lost = store.claim(connection, LANE, "wrk_a", 20)
    store.requeue(connection, [HandedBack(job.id, 1, None) for job in lost], "lost")
    store.void(connection, [job.id for job in lost], "queued", "cancelled", None, "client")
    admit(connection, other, 40)
    admit(connection, mine, 20)
    got = Counter(claims(connection, 40))
    assert abs(got[mine] - got[other]) <= 2


EVENTS = st.lists(
    st.tuples(st.just("admit"), st.integers(0, 3), st.integers(1, 12))
    | st.tuples(st.just("claim"), st.just(0), st.integers(1, 9)),
    min_size=4,
    max_size=24,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(EVENTS)
def test_two_waiting_tenants_never_differ_by_more_than_two_claims(
    connection: Connection, events: Iterable[tuple[str, int, int]]
) -> None:
    while store.claim(connection, LANE, "wrk_a", 500):
        pass
    tenants = [tenant(connection) for _ in range(4)]
    waiting: Counter[str] = Counter()
    # For each pair, the claims of one less those of the other, at each point since both wait.
    leads: dict[tuple[str, str], list[int]] = {}
    for what, who, count in events:
        if what == "admit":
            admit(connection, tenants[who], count)
            waiting[tenants[who]] += count
        else:
            got = Counter(job.tenant_id for job in store.claim(connection, LANE, "wrk_a", count))
            assert got.total() == min(count, waiting.total())
            waiting -= got
            for (one, other), lead in leads.items():
                if waiting[one] and waiting[other]:
                    lead.append(lead[-1] + got[one] - got[other])
        for pair in combinations(tenants, 2):
            if not (waiting[pair[0]] and waiting[pair[1]]):
                leads.pop(pair, None)
            lead = leads.setdefault(pair, [0]) if waiting[pair[0]] and waiting[pair[1]] else [0]
            assert max(lead) - min(lead) <= 2
