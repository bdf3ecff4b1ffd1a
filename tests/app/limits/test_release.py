"""What a worker sends when a job has ended."""

import pytest

from app.limits.limiter import Limiter
from app.limits.model import Standing, day_of
from app.limits.release import Release, release_command, release_commands
from app.redis import Wire
from tests.app.events.parts import until
from tests.app.limits.parts import ask, bucket

ONE = bucket(requests=100, tokens=100, sessions=1)


def today(taken: Standing) -> int:
    return day_of(taken.now_s)


@pytest.mark.parametrize(("used", "left"), [(10, 90), (60, 40), (80, 20), (0, 100), (130, 0)])
def test_the_day_counts_what_was_used(limiter: Limiter, wire: Wire, used: int, left: int) -> None:
    taken = limiter.take(ask(ONE, tokens=60))
    release = release_command(["ten_a"], today(taken), 60, used, "job_none", None)
    assert wire.replies(release, 1) == [1]
    assert limiter.peek((ONE,)).tokens.remaining == left
    assert limiter.peek((ONE,)).requests.remaining == 99


def test_the_day_is_never_below_zero_and_keeps_its_time_to_live(
    limiter: Limiter, wire: Wire
) -> None:
    taken = limiter.take(ask(ONE, tokens=20))
    wire.replies(release_command(["ten_a"], today(taken), 90, 0, "job_none", None), 1)
    key = f"lim:ten_a:tok:{today(taken)}"
    value, ttl = wire.call(("GET", key), ("TTL", key))
    assert (value, ttl > 86_400) == (b"0", True)


def test_a_day_that_is_not_counted_stays_so(limiter: Limiter, wire: Wire) -> None:
    wire.replies(release_command(["ten_a"], 19_000, 5, 50, "job_a", "s"), 1)
    assert wire.call(("KEYS", "lim:*")) == [[]]


def test_only_the_day_of_the_take_is_corrected(limiter: Limiter, wire: Wire) -> None:
    taken = limiter.take(ask(ONE, tokens=20))
    wire.call(("SET", f"lim:ten_a:tok:{today(taken) - 1}", 50))
    wire.replies(release_command(["ten_a"], today(taken) - 1, 30, 5, "job_none", None), 1)
    assert wire.call(("GET", f"lim:ten_a:tok:{today(taken) - 1}")) == [b"25"]
    assert limiter.peek((ONE,)).tokens.remaining == 80


def test_all_buckets_are_released(limiter: Limiter, wire: Wire) -> None:
    both = (ONE, bucket(requests=9, tokens=90, sessions=1, name="key_a"))
    request = ask(*both, tokens=30)
    taken = limiter.take(request)
    names = [one.name for one in both]
    wire.replies(release_command(names, today(taken), 30, 10, request.job_id, None), 1)
    assert [limiter.peek((one,)).tokens.remaining for one in both] == [90, 80]
    assert limiter.take(ask(*both)).refused is None


def test_a_job_frees_its_own_session_alone(limiter: Limiter, wire: Wire) -> None:
    request = ask(ONE)
    day = today(limiter.take(request))
    wire.replies(release_command(["ten_a"], day, 0, 0, "job_other", None), 1)
    assert limiter.take(ask(ONE)).refused == "sessions"
    wire.replies(release_command(["ten_a"], day, 0, 0, request.job_id, None), 1)
    assert limiter.take(ask(ONE)).refused is None


@pytest.mark.parametrize("name", ["chat", "n" * 1000])
def test_a_named_session_is_free_when_its_last_job_ends(
    limiter: Limiter, wire: Wire, name: str
) -> None:
    requests = [ask(ONE, session=name) for _ in range(3)]
    days = [today(limiter.take(request)) for request in requests]
    for request in requests:
        assert limiter.take(ask(ONE)).refused == "sessions"
        wire.replies(release_command(["ten_a"], days[0], 0, 0, request.job_id, name), 1)
    assert limiter.take(ask(ONE)).refused is None


def test_a_job_whose_release_was_lost_holds_its_session_no_longer_than_its_lease(
    limiter: Limiter, wire: Wire
) -> None:
    lost, ended = ask(ONE, session="s", lease_s=0.05), ask(ONE, session="s", lease_s=60)
    limiter.take(lost)
    first = limiter.take(ended)
    until(lambda: limiter.peek((ONE,)).now_s > first.now_s + 0.05)
    wire.replies(release_command(["ten_a"], today(first), 0, 0, ended.job_id, "s"), 1)
    assert limiter.take(ask(ONE)).refused is None


def test_releases_without_a_session_are_summed_by_day_and_buckets(
    wire: Wire, limiter: Limiter
) -> None:
    day = today(limiter.take(ask(bucket(tokens=1000), tokens=90)))
    several = [Release(("ten_a",), day, -more, "", None) for more in (10, 20, 30)]
    commands = release_commands([*several, Release(("ten_a",), day + 1, -5, "", None)])
    assert len(commands) == 2
    wire.replies(b"".join(commands), 2)
    assert wire.call(("GET", f"lim:ten_a:tok:{day}")) == [b"30"]
    nothing = [Release(("ten_a",), day, more, "", None) for more in (7, -7)]
    assert release_commands(nothing) == []
    held = [Release(("ten_a",), day, 0, name, None) for name in ("job_a", "job_b")]
    assert len(release_commands(held)) == 2
