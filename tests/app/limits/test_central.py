"""The script: what a take checks, consumes and answers."""

import time
from collections.abc import Callable

import gevent
import pytest

from app.limits.limiter import Limiter
from app.limits.model import day_of
from app.redis import Wire
from tests.app.events.parts import until
from tests.app.limits.parts import Books, ask, bucket

DAY_S = 86_400


READS = {
    b"list": ("LRANGE", 0, -1),
    b"string": ("GET",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
}


def held(wire: Wire) -> dict[bytes, object]:
    """All that Redis holds of the limits, without times to live."""
    found: dict[bytes, object] = {}
    for key in wire.call(("KEYS", "lim:*"))[0]:
        [kind] = wire.call(("TYPE", key))
        # A key may have expired meanwhile.
        if kind in READS:
            name, *rest = READS[kind]
            found[key] = wire.call((name, key, *rest))[0]
    return found


def test_remaining_and_reset_are_told_at_each_take(limiter: Limiter) -> None:
    one = bucket(requests=3, tokens=100)
    for requests, tokens in ((2, 70), (1, 40), (0, 10)):
        taken = limiter.take(ask(one, tokens=30))
        assert (taken.refused, taken.shared) == (None, True)
        assert (taken.requests.limit, taken.requests.remaining) == (3, requests)
        assert (taken.tokens.limit, taken.tokens.remaining) == (100, tokens)
        assert taken.requests.reset_s == 60.0
        assert taken.tokens.reset_s == pytest.approx(DAY_S - taken.now_s % DAY_S, abs=1e-3)
        assert taken.now_s == pytest.approx(time.time(), abs=5)


def test_the_request_over_the_limit_is_refused_until_the_oldest_leaves(limiter: Limiter) -> None:
    one = bucket(requests=2)
    first, second = limiter.take(ask(one)), limiter.take(ask(one))
    refused = limiter.take(ask(one))
    assert (refused.refused, refused.refused_limit, refused.refused_bucket) == (
        "requests", 2, "ten_a",
    )  # fmt: skip
    assert refused.retry_after_s == pytest.approx(first.now_s + 60 - refused.now_s, abs=2e-6)
    assert refused.requests.remaining == 0
    assert refused.requests.reset_s == pytest.approx(second.now_s + 60 - refused.now_s, abs=2e-6)


def test_a_limit_that_was_lowered_waits_for_as_many_as_are_too_many(limiter: Limiter) -> None:
    taken = [limiter.take(ask(bucket(requests=5))) for _ in range(5)]
    refused = limiter.take(ask(bucket(requests=2)))
    assert refused.retry_after_s == pytest.approx(taken[3].now_s + 60 - refused.now_s, abs=2e-6)
    assert refused.requests.remaining == 0


def test_without_limits_all_passes_and_nothing_is_kept(limiter: Limiter, wire: Wire) -> None:
    taken = limiter.take(ask(bucket(), tokens=1_000_000))
    assert (taken.refused, taken.requests.limit, taken.tokens.limit) == (None, None, None)
    assert held(wire) == {}


def test_the_window_slides(redis: str, make_limiter: Callable[..., Limiter]) -> None:
    limiter = make_limiter(redis, window_s=0.2)
    one = bucket(requests=5)
    times: list[float] = []

    def enough() -> bool:
        taken = limiter.take(ask(one))
        if taken.refused is None:
            times.append(taken.now_s)
        # Uneven, so that windows do not begin together.
        gevent.sleep(0.001 * (len(times) % 7))
        return len(times) >= 23

    until(enough)
    assert all(late - early >= 0.2 - 1e-6 for early, late in zip(times, times[5:], strict=False))
    assert times[-1] - times[0] < 5.0


def test_a_log_that_left_the_window_is_forgotten(
    redis: str, make_limiter: Callable[..., Limiter], wire: Wire
) -> None:
    limiter = make_limiter(redis, window_s=0.1)
    limiter.take(ask(bucket(requests=5)))
    until(lambda: held(wire) == {})
    assert limiter.peek((bucket(requests=5),)).requests == (5, 5, 0.0)


@pytest.mark.parametrize("gone", [1, 15, 16, 17, 47, 48, 49, 1039, 1040, 1041, 2500])
def test_a_burst_leaves_to_the_last_entry(limiter: Limiter, wire: Wire, gone: int) -> None:
    now = int(time.time() * 1_000_000)
    left = [now - 61_000_000 + at for at in range(gone)]
    live = [now - 30_000_000 + at for at in range(100)]
    wire.call(("RPUSH", "lim:ten_a:req", *left, *live))
    assert limiter.take(ask(bucket(requests=10_000))).requests.remaining == 10_000 - 101
    assert wire.call(("LRANGE", "lim:ten_a:req", 0, 99)) == [[b"%d" % at for at in live]]


@pytest.mark.parametrize("limit", ["requests", "tokens", "sessions"])
def test_a_refusal_consumes_nothing_in_any_bucket(limiter: Limiter, wire: Wire, limit: str) -> None:
    roomy = bucket(10, 1000, 10, name="ten_a")
    tight = bucket(**{"requests": 10, "tokens": 1000, "sessions": 10, limit: 1}, name="key_a")
    first = limiter.take(ask(roomy, tight, tokens=1, session="s"))
    assert first.refused is None
    before = held(wire)
    for buckets in ((roomy, tight), (tight, roomy)):
        refused = limiter.take(ask(*buckets, tokens=1))
        assert (refused.refused, refused.refused_bucket) == (limit, "key_a")
        assert refused.refused_limit == 1
        assert held(wire) == before


def test_two_buckets_tell_of_the_tighter_for_each_limit(limiter: Limiter) -> None:
    tenant = bucket(requests=10, tokens=50, name="ten_a")
    key = bucket(requests=3, tokens=900, name="key_a")
    for order in ((tenant, key), (key, tenant)):
        taken = limiter.take(ask(*order, tokens=5))
        assert taken.requests.limit == 3
        assert taken.tokens.limit == 50
    assert (taken.requests.remaining, taken.tokens.remaining) == (1, 40)
    assert limiter.peek((tenant,)).requests.remaining == 8


def test_of_several_refusals_the_longest_is_told(limiter: Limiter) -> None:
    one = bucket(requests=1, sessions=1)
    limiter.take(ask(one))
    assert limiter.take(ask(one)).refused == "requests"


def test_peeking_consumes_nothing(limiter: Limiter, wire: Wire) -> None:
    one = bucket(requests=2, tokens=10, sessions=1)
    assert limiter.peek((one,)).requests == (2, 2, 0.0)
    taken = limiter.take(ask(one, tokens=4))
    before = held(wire)
    for _ in range(3):
        seen = limiter.peek((one,))
        assert seen.refused is None
        assert (seen.requests.remaining, seen.tokens.remaining) == (1, 6)
        assert seen.requests.reset_s == pytest.approx(taken.now_s + 60 - seen.now_s, abs=2e-6)
    assert held(wire) == before


def test_the_books_are_asked_once_for_a_day_that_is_not_counted(
    limiter: Limiter, books: Books, wire: Wire
) -> None:
    today = day_of(limiter.peek((bucket(),)).now_s)
    books.used["ten_a", today] = 70
    one = bucket(tokens=100)
    assert limiter.take(ask(one, tokens=20)).tokens.remaining == 10
    assert limiter.take(ask(one, tokens=20)).refused == "tokens"
    assert limiter.take(ask(one, tokens=10)).tokens.remaining == 0
    assert books.asked == [("ten_a", today)]
    [ttl] = wire.call(("TTL", f"lim:ten_a:tok:{today}"))
    assert DAY_S < ttl <= 2 * DAY_S


def test_who_asks_while_the_books_are_read_waits_for_them(redis: str, gevent_sockets: None) -> None:
    asked = []

    def slow(name: str, day: int) -> int:
        asked.append(name)
        gevent.sleep(0.05)
        return 40

    limiter = Limiter(redis, slow)
    one = bucket(tokens=100)
    takes = [gevent.spawn(limiter.take, ask(one, tokens=10)) for _ in range(10)]
    gevent.joinall(takes, timeout=10, raise_error=True)
    limiter.close()
    assert sorted(str(take.value.refused) for take in takes) == ["None"] * 6 + ["tokens"] * 4
    assert asked == ["ten_a"]


def test_only_buckets_that_are_not_counted_are_asked_for(limiter: Limiter, books: Books) -> None:
    known, new = bucket(tokens=100), bucket(tokens=50, name="key_a")
    limiter.take(ask(known, tokens=5))
    books.asked.clear()
    limiter.take(ask(known, bucket(requests=5, name="key_b"), new, tokens=5))
    assert [name for name, _ in books.asked] == ["key_a"]
    assert limiter.peek((known,)).tokens.remaining == 90


def test_a_counter_that_another_process_began_stands(
    redis: str, gevent_sockets: None, wire: Wire
) -> None:
    def late(name: str, day: int) -> int:
        wire.call(("SET", f"lim:{name}:tok:{day}", 50))
        return 40

    limiter = Limiter(redis, late)
    assert limiter.take(ask(bucket(tokens=100), tokens=10)).tokens.remaining == 40
    limiter.close()


def test_what_the_books_raise_reaches_who_asks(redis: str, gevent_sockets: None) -> None:
    def broken(name: str, day: int) -> int:
        raise LookupError(name)

    limiter = Limiter(redis, broken)
    for _ in range(2):
        with pytest.raises(LookupError):
            limiter.take(ask(bucket(tokens=1)))
    limiter.close()


def test_a_new_day_is_counted_from_nothing(limiter: Limiter, wire: Wire) -> None:
    today = day_of(limiter.peek((bucket(),)).now_s)
    wire.call(("SET", f"lim:ten_a:tok:{today - 1}", 100))
    assert limiter.take(ask(bucket(tokens=100), tokens=60)).tokens.remaining == 40


def test_tokens_over_the_day_are_refused_until_midnight(limiter: Limiter) -> None:
    refused = limiter.take(ask(bucket(tokens=10), tokens=11))
    assert (refused.refused, refused.refused_limit) == ("tokens", 10)
    assert refused.tokens.remaining == 10
    assert refused.retry_after_s == pytest.approx(DAY_S - refused.now_s % DAY_S, abs=1e-3)


def test_a_session_is_a_request_that_is_open(limiter: Limiter) -> None:
    one = bucket(sessions=2)
    assert [limiter.take(ask(one)).refused for _ in range(3)] == [None, None, "sessions"]
    assert limiter.take(ask(one)).retry_after_s == 1.0
    assert limiter.take(ask(one, holds_session=False)).refused is None


@pytest.mark.parametrize("name", ["chat", "n" * 1000, "job_7"])
def test_requests_of_one_session_share_one_place(limiter: Limiter, wire: Wire, name: str) -> None:
    one = bucket(sessions=1)
    assert [limiter.take(ask(one, session=name)).refused for _ in range(3)] == [None] * 3
    assert limiter.take(ask(one, session="other")).refused == "sessions"
    assert limiter.take(ask(one)).refused == "sessions"
    assert all(len(key) < 100 for key in held(wire))


def test_a_lease_that_ran_out_frees_its_place(limiter: Limiter, wire: Wire) -> None:
    one = bucket(sessions=2)
    limiter.take(ask(one, lease_s=0.3))
    limiter.take(ask(one, lease_s=0.3, session="s"))
    assert limiter.take(ask(one, job_id="job_z")).refused == "sessions"
    until(lambda: limiter.take(ask(one, job_id="job_z")).refused is None)

    def alone() -> bool:
        limiter.take(ask(one, job_id="job_z"))
        return wire.call(("ZRANGE", "lim:ten_a:ses", 0, -1)) == [[b"job_z"]]

    until(alone)
    until(lambda: wire.call(("EXISTS", "lim:ten_a:ses:s")) == [0])


def test_a_session_lasts_as_long_as_its_longest_lease(limiter: Limiter, wire: Wire) -> None:
    one = bucket(sessions=1)
    for lease_s in (60.0, 0.001):
        limiter.take(ask(one, session="s", lease_s=lease_s))
    [till] = wire.call(("ZSCORE", "lim:ten_a:ses", "s:s"))
    now_ms = limiter.peek((one,)).now_s * 1000
    assert 50_000 < float(till) - now_ms <= 60_000


def test_keys_of_sessions_outlive_their_leases_and_no_more(limiter: Limiter, wire: Wire) -> None:
    one = bucket(sessions=9)
    for lease_s in (5.0, 100.0, 1.0):
        limiter.take(ask(one, session="s", lease_s=lease_s))
        limiter.take(ask(one, lease_s=lease_s))
    for key, most in (("lim:ten_a:ses", 200_000), ("lim:ten_a:ses:s", 100_000)):
        [ttl] = wire.call(("PTTL", key))
        assert 99_000 < ttl <= most
