"""The way through a log: from any point exactly the rest, nothing twice, no hole untold."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.events.follow import PAGE, Follower, LogReader, follows
from app.events.hub import Hub
from app.events.log import QUEUED, Event, EventId, stream_key
from app.events.publish import Publisher
from app.ids import new_id
from app.redis import Wire
from tests.app.events.parts import Speaker, ids, names, stream, text_of, until

Follow = Callable[..., Follower]


@pytest.fixture
def follow(hub: Hub, redis: str, wire: Wire) -> Iterator[Follow]:
    """Makes followers that Redis knows of when they are returned."""
    made: list[Follower] = []

    def make(job_id: str = "job_a", last: EventId = QUEUED) -> Follower:
        made.append(Follower(hub, LogReader(redis), job_id, last))
        until(lambda: wire.call(("PUBSUB", "NUMSUB", stream_key(job_id)))[0][1])
        return made[-1]

    yield make
    for follower in made:
        follower.close()


def read_until(follower: Follower, name: str) -> list[Event]:
    """What the follower gives up to an event of this name."""
    events: list[Event] = []

    def read() -> bool:
        events.extend(follower.wait(0.05))
        return name in names(events)

    until(read)
    return events


def whole(speaker: Speaker, words: int = 4) -> None:
    """Writes an attempt from its start to its end, an event a word."""
    speaker.begin()
    speaker.flush()
    for n in range(words):
        speaker.say(f"{n} ")
        speaker.flush()
    speaker.end()
    speaker.flush()


def test_a_follower_from_the_start_has_all(follow: Follow, publisher: Publisher) -> None:
    follower, speaker = follow(), Speaker(publisher)
    whole(speaker)
    events = read_until(follower, "completed")
    assert ids(events) == [f"1-{n}" for n in range(1, 8)]
    assert text_of(events) == speaker.text


@pytest.mark.parametrize("at", range(8))
def test_from_any_id_a_follower_has_exactly_the_rest(
    follow: Follow, publisher: Publisher, wire: Wire, at: int
) -> None:
    whole(Speaker(publisher))
    last = EventId(1, at) if at else QUEUED
    events = follow(last=last).catch_up()
    assert events == stream(wire)[at:]
    assert ids(events) == [f"1-{n}" for n in range(at + 1, 8)]


def test_a_long_log_is_read_page_by_page(follow: Follow, wire: Wire) -> None:
    count = 2 * PAGE + 1
    adds = [("XADD", "ev:job_a", f"1-{n}", "e", "delta", "d", "{}") for n in range(1, count + 1)]
    wire.call(*adds)
    assert len(follow().catch_up()) == count


def test_what_is_in_the_log_and_comes_live_as_well_is_given_once(
    follow: Follow, publisher: Publisher
) -> None:
    follower, speaker = follow(), Speaker(publisher)
    speaker.begin()
    speaker.say("a")
    speaker.flush()
    until(lambda: follower._watch._messages)
    caught_up = follower.catch_up()
    assert names(caught_up) == ["started", "delta"]
    speaker.say("b")
    speaker.end()
    live = read_until(follower, "completed")
    assert ids(caught_up + live) == ["1-1", "1-2", "1-3", "1-4", "1-5"]


def test_what_came_before_the_subscription_is_fetched_when_the_next_event_shows_it(
    follow: Follow, publisher: Publisher
) -> None:
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.say("missed ")
    speaker.flush()
    follower = follow()
    follower._watch.lost = False
    speaker.say("heard")
    speaker.flush()
    assert text_of(read_until(follower, "delta")) == speaker.text


def test_a_follower_that_lost_its_subscription_catches_up(
    follow: Follow, publisher: Publisher, wire: Wire
) -> None:
    follower, speaker = follow(), Speaker(publisher)
    speaker.begin()
    read_until(follower, "started")
    wire.call(("CLIENT", "KILL", "TYPE", "PUBSUB"))
    speaker.say("unheard")
    speaker.end()
    assert text_of(read_until(follower, "completed")) == speaker.text


def test_a_trimmed_log_is_a_hole_and_not_a_jump(
    follow: Follow, publisher: Publisher, wire: Wire
) -> None:
    speaker = Speaker(publisher)
    whole(speaker)
    wire.call(("XTRIM", stream_key("job_a"), "MAXLEN", 3))
    follower = follow(last=EventId(1, 2))
    assert follower.catch_up() == []
    assert follower.hole
    assert follower.last == EventId(1, 2)
    near = follow(last=EventId(1, 4))
    assert ids(near.catch_up()) == ["1-5", "1-6", "1-7"]
    assert not near.hole


def test_a_snapshot_mends_a_hole(follow: Follow, publisher: Publisher, wire: Wire) -> None:
    speaker = Speaker(publisher)
    speaker.begin()
    for word in "abc":
        speaker.say(word)
        speaker.flush()
    wire.call(("XTRIM", stream_key("job_a"), "MAXLEN", 1))
    follower = follow()
    holes = [follower.hole, follower.catch_up() == [], follower.hole]
    speaker.event("snapshot", speaker.log.snapshot())
    speaker.say("d")
    speaker.end()
    events = read_until(follower, "completed")
    assert [*holes, follower.hole] == [False, True, True, False]
    assert names(events)[0] == "snapshot"
    assert text_of(events) == speaker.text == "abcd"


def test_a_hole_gives_nothing_while_it_stays(
    follow: Follow, publisher: Publisher, wire: Wire
) -> None:
    speaker = Speaker(publisher)
    whole(speaker, 2)
    wire.call(("XTRIM", stream_key("job_a"), "MAXLEN", 1))
    follower = follow()
    assert follower.catch_up() == follower.wait(0.01) == []
    assert follower.hole


def test_the_next_attempt_follows_from_its_first_event(
    follow: Follow, make_publisher: Callable[[str], Publisher], redis: str
) -> None:
    follower = follow()
    first, second = Speaker(make_publisher(redis)), Speaker(make_publisher(redis), attempt=2)
    first.begin()
    first.say("lost")
    first.flush()
    whole(second)
    events = read_until(follower, "completed")
    assert ids(events) == ["1-1", "1-2", *[f"2-{n}" for n in range(1, 8)]]
    assert text_of(events) == second.text


def test_a_result_is_kept_aside(follow: Follow, publisher: Publisher) -> None:
    follower, speaker = follow(), Speaker(publisher)
    speaker.log.event("started", b"{}")
    speaker.log.result = b"{}"
    speaker.end()
    assert names(read_until(follower, "completed")) == ["started", "usage", "completed"]
    assert follower.result == b"{}"


def test_without_redis_there_is_nothing_and_no_error(hub: Hub) -> None:
    follower = Follower(hub, LogReader("unix:///nowhere/redis.sock"), "job_a", QUEUED)
    assert follower.catch_up() == []


@pytest.mark.parametrize(
    ("event", "last", "right"),
    [
        ((1, 2, "delta"), (1, 1), True),
        ((1, 3, "delta"), (1, 1), False),
        ((1, 3, "snapshot"), (1, 1), True),
        ((2, 1, "restarted"), (1, 9), True),
        ((3, 1, "cancelled"), (1, 9), True),
        ((2, 2, "delta"), (1, 9), False),
        ((2, 5, "snapshot"), (1, 9), True),
        ((1, 1, "started"), (0, 1), True),
    ],
)
def test_what_follows_what(event: tuple[int, int, str], last: tuple[int, int], right: bool) -> None:
    attempt, seq, name = event
    assert follows(Event(EventId(attempt, seq), name, b""), EventId(*last)) is right


STEPS = st.lists(
    st.sampled_from(["say", "say", "flush", "read", "part", "reconnect", "restart", "wipe"]),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_however_often_a_reader_comes_back_it_has_the_same_text(
    hub: Hub, redis: str, make_publisher: Any, wire: Wire, steps: list[str]
) -> None:
    """The reader leaves and comes back with its last id, attempts restart, and the log is lost;
    where a hole stays, the snapshot that the worker is asked for mends it."""
    job_id = new_id("job")
    reader = LogReader(redis)
    publisher = make_publisher(redis)
    speaker = Speaker(publisher, job_id)
    follower = Follower(hub, reader, job_id, QUEUED)
    got: list[Event] = []
    speaker.begin()
    words = iter(range(10**6))

    for step in [*steps, "read"]:
        if step == "say":
            speaker.say(f"{next(words)} ")
        elif step == "flush":
            speaker.flush()
        elif step == "read":
            speaker.flush()
            got += follower.wait(0.001)
        elif step == "part":
            follower.close()
        elif step == "reconnect":
            follower.close()
            follower = Follower(hub, reader, job_id, follower.last)
            got += follower.catch_up()
        elif step == "restart":
            speaker.flush()
            speaker = Speaker(publisher, job_id, speaker.log.attempt + 1)
            speaker.begin()
        else:
            speaker.flush()
            wire.call(("DEL", stream_key(job_id)))
    speaker.flush()
    follower.close()
    follower = Follower(hub, reader, job_id, follower.last)
    got += follower.catch_up()
    if follower.last < EventId(speaker.log.attempt, speaker.log.seq):
        speaker.event("snapshot", speaker.log.snapshot())
    speaker.end()
    if "completed" not in names(got):
        got += read_until(follower, "completed")
    follower.close()
    assert len(set(ids(got))) == len(got)
    assert got == sorted(got, key=lambda event: event.id)
    assert text_of(got) == speaker.text
