"""The limiter of one process, held against a model that recounts everything at each step."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import gevent.socket
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalogue.tiers import Limits
from app.limits.limiter import Limiter
from app.limits.local import Local
from app.limits.model import Ask, Bucket, Standing
from tests.app.limits.parts import ask, bucket

DAY_S = 86_400


class Clock:
    def __init__(self, now: float = 1_000 * DAY_S + 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Recount:
    """Keeps every take that passed and counts them anew for each question."""

    window_s: float
    taken: list[tuple[float, Ask]] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)

    def requests(self, name: str, now: float) -> list[float]:
        return [at for at, one in self.of(name) if at > now - self.window_s]

    def tokens(self, name: str, now: float) -> int:
        today = [(at, one) for at, one in self.of(name) if at // DAY_S == now // DAY_S]
        return sum(self.ended.get(one.job_id, one.tokens) for _, one in today)

    def sessions(self, name: str, now: float) -> set[str]:
        return {
            f"s:{one.session}" if one.session else one.job_id
            for at, one in self.of(name)
            if one.holds_session and one.job_id not in self.ended and at + one.lease_s > now
        }

    def of(self, name: str) -> list[tuple[float, Ask]]:
        return [(at, one) for at, one in self.taken if name in {b.name for b in one.buckets}]

    def passes(self, one: Ask, now: float) -> bool:
        return all(self._passes(limited, one, now) for limited in one.buckets)

    def _passes(self, limited: Bucket, one: Ask, now: float) -> bool:
        caps, name = limited.limits, limited.name
        open_now = self.sessions(name, now)
        mine = {f"s:{one.session}" if one.session else one.job_id} if one.holds_session else set()
        return (
            len(self.requests(name, now)) < (caps.requests_per_minute or 10**9)
            and self.tokens(name, now) + one.tokens <= (caps.tokens_per_day or 10**9)
            and (not mine or len(open_now | mine) <= (caps.sessions or 10**9))
        )


Caps = tuple[int | None, int | None, int | None]
CAPS = st.tuples(
    st.none() | st.integers(1, 6), st.none() | st.integers(1, 60), st.none() | st.integers(1, 3)
)
TAKE = st.tuples(
    st.just("take"),
    st.sampled_from(("a", "b", "ab")),
    st.integers(0, 20),
    st.sampled_from((None, "s", "t")),
    st.booleans(),
    st.sampled_from((1, 20, 90)),
)
STEPS = st.lists(
    TAKE
    | st.tuples(st.just("wait"), st.sampled_from((1, 7, 20, 59, 60, 3_000, DAY_S)))
    | st.tuples(st.just("sweep"))
    | st.tuples(st.just("end"), st.integers(0, 30), st.integers(0, 25)),
    min_size=20,
    max_size=50,
)


@settings(deadline=None)
@given(CAPS, CAPS, STEPS)
def test_it_agrees_with_a_recount_of_everything(
    a: Caps, b: Caps, steps: list[tuple[object, ...]]
) -> None:
    buckets = {"a": bucket(a[0], a[1], a[2], name="a"), "b": bucket(b[0], b[1], b[2], name="b")}
    clock, model = Clock(), Recount(60.0)
    local = Local(1, 60.0, clock)
    for kind, *how in steps:
        if kind == "wait":
            clock.now += how[0]  # type: ignore[operator]
        elif kind == "sweep":
            local.sweep()
        elif kind == "end":
            _end(local, model, how)
        else:
            _take(local, model, clock.now, buckets, how)
        for name, limited in buckets.items():
            _agree(local.peek((limited,)), model, name, limited.limits, clock.now)


def _take(
    local: Local, model: Recount, now: float, buckets: dict[str, Bucket], how: list[object]
) -> None:
    names, tokens, session, holds, lease_s = how
    asked = ask(
        *[buckets[name] for name in str(names)],
        tokens=tokens, session=session, holds_session=holds, lease_s=lease_s,  # type: ignore[arg-type]
    )  # fmt: skip
    passes = model.passes(asked, now)
    answer = local.take(asked)
    assert (answer.refused is None) == passes
    if passes:
        model.taken.append((now, asked))
    else:
        assert answer.retry_after_s > 0


def _end(local: Local, model: Recount, how: list[object]) -> None:
    at, used = how
    live = [(when, one) for when, one in model.taken if one.job_id not in model.ended]
    if live:
        when, one = live[int(str(at)) % len(live)]
        local.end(one, when, int(str(used)))
        model.ended[one.job_id] = int(str(used))


def _agree(seen: Standing, model: Recount, name: str, caps: Limits, now: float) -> None:
    requests, tokens = seen.requests, seen.tokens
    if caps.requests_per_minute is not None:
        times = model.requests(name, now)
        assert requests.remaining == caps.requests_per_minute - len(times)
        assert requests.reset_s == pytest.approx(times[-1] + 60 - now if times else 0.0, abs=1e-5)
    if caps.tokens_per_day is not None:
        assert tokens.remaining == max(0, caps.tokens_per_day - model.tokens(name, now))
        assert tokens.reset_s == pytest.approx(DAY_S - now % DAY_S)
    assert (requests.limit, tokens.limit) == (caps.requests_per_minute, caps.tokens_per_day)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40))
def test_a_share_is_a_part_and_at_least_one(share: int, cap: int) -> None:
    local = Local(share, 60.0, Clock())
    one = bucket(requests=cap)
    passed = [local.take(ask(one)).refused for _ in range(45)].count(None)
    assert passed == max(1, cap // share)
    assert local.peek((one,)).requests.limit == max(1, cap // share)


def test_a_share_follows_limits_that_change() -> None:
    local = Local(2, 60.0, Clock())
    assert local.peek((bucket(requests=10),)).requests.limit == 5
    assert local.peek((bucket(requests=40),)).requests.limit == 20


def test_a_request_is_refused_until_the_oldest_leaves() -> None:
    clock = Clock()
    local = Local(1, 60.0, clock)
    one = bucket(requests=2)
    for _ in range(2):
        local.take(ask(one))
        clock.now += 5
    refused = local.take(ask(one))
    assert (refused.refused, refused.retry_after_s, refused.shared) == ("requests", 50.0, False)
    clock.now += 50
    assert local.take(ask(one)).refused is None


def test_a_lease_ends_on_time() -> None:
    clock = Clock()
    local = Local(1, 60.0, clock)
    one = bucket(sessions=1)
    local.take(ask(one, lease_s=90))
    for wait_s, refused in ((89, "sessions"), (1, None)):
        clock.now += wait_s
        assert local.take(ask(one)).refused == refused


def test_requests_of_one_session_share_one_place() -> None:
    local = Local(1, 60.0, Clock())
    one = bucket(sessions=1)
    requests = [ask(one, session="s") for _ in range(2)]
    taken = [local.take(request) for request in requests]
    assert [answer.refused for answer in taken] == [None, None]
    for request, answer in zip(requests, taken, strict=True):
        assert local.take(ask(one, session="t")).refused == "sessions"
        local.end(request, answer.now_s, 0)
    assert local.take(ask(one, session="t")).refused is None


def test_a_job_of_yesterday_corrects_nothing_today() -> None:
    clock = Clock()
    local = Local(1, 60.0, clock)
    one = bucket(tokens=100)
    old = ask(one, tokens=60)
    taken = local.take(old)
    clock.now += DAY_S
    local.take(ask(one, tokens=10))
    local.end(old, taken.now_s, 90)
    assert local.peek((one,)).tokens.remaining == 90


def test_what_no_longer_counts_is_forgotten() -> None:
    clock = Clock()
    local = Local(2, 60.0, clock)
    one = bucket(requests=8, tokens=100, sessions=8)
    local.take(ask(one, tokens=5, lease_s=90))
    clock.now += DAY_S
    local.sweep()
    assert (local._used, local._shares) == ({}, {})


@settings(deadline=None, max_examples=30)
@given(CAPS, CAPS, st.lists(TAKE | st.tuples(st.just("back")), min_size=8, max_size=25))
def test_both_limiters_answer_alike(
    both: "Pair",
    a: Caps,
    b: Caps,
    steps: list[tuple[object, ...]],
) -> None:
    both.start(a, b)
    for kind, *how in steps:
        if kind == "back":
            both.give_back()
        else:
            both.take(how)


class Pair:
    """The same requests, asked of Redis and of a process's own limiter."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter, self.round = limiter, 0

    def start(self, a: Caps, b: Caps) -> None:
        self.round += 1
        names = (("a", a), ("b", b))
        self.buckets = {
            n: bucket(caps[0], caps[1], caps[2], name=f"{n}{self.round}") for n, caps in names
        }
        self.local = Local(1, 60.0)
        self.taken: list[tuple[Ask, Standing, Standing]] = []

    def take(self, how: list[object]) -> None:
        names, tokens, session, holds, _ = how
        asked = ask(
            *[self.buckets[name] for name in str(names)],
            tokens=tokens, session=session, holds_session=holds,  # type: ignore[arg-type]
        )  # fmt: skip
        there, here = self.limiter.take(asked), self.local.take(asked)
        assert (there.shared, here.shared) == (True, False)
        assert _figures(there) == _figures(here)
        if there.refused is None:
            self.taken.append((asked, there, here))

    def give_back(self) -> None:
        if self.taken:
            asked, there, here = self.taken.pop()
            self.limiter.give_back(asked, there)
            self.local.end(asked, here.now_s, 0)


def _figures(seen: Standing) -> tuple[object, ...]:
    return (*seen.requests[:2], *seen.tokens[:2], seen.refused, seen.refused_limit,
            seen.refused_bucket)  # fmt: skip


@pytest.fixture(scope="module")
def both(redis_url: str) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.redis.socket", gevent.socket)
        pair = Pair(Limiter(redis_url, lambda name, day: 0))
        yield pair
        pair.limiter.close()
