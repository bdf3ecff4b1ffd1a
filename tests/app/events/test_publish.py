"""The writing side: what reaches the stream and the channel, whatever Redis does meanwhile."""

from collections.abc import Callable

import gevent
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.events.hub import Hub
from app.events.log import (
    ENDED_TTL_S,
    RUNNING_TTL_S,
    Event,
    EventId,
    decode,
    stream_key,
)
from app.events.publish import JobLog, Publisher
from app.redis import Wire
from tests.app.events.parts import (
    OwnRedis,
    Speaker,
    choice,
    ids,
    names,
    stream,
    text_of,
    until,
)

MakePublisher = Callable[[str], Publisher]


def heard(hub: Hub, wire: Wire, job_id: str = "job_a") -> Callable[[], list[Event]]:
    """Listens on a job's channel; the function returned gives all that was heard so far."""
    watch = hub.watch(stream_key(job_id))
    until(lambda: wire.call(("PUBSUB", "NUMSUB", stream_key(job_id)))[0][1] == 1)
    events: list[Event] = []

    def all_so_far() -> list[Event]:
        while (message := watch.get(0)) is not None:
            events.extend(decode(message))
        return events

    return all_so_far


def at_least(count: int, live: Callable[[], list[Event]]) -> list[Event]:
    """What was heard, once it is so many events."""
    until(lambda: len(live()) >= count)
    return live()


def test_stream_and_channel_carry_the_same_with_ids_that_have_no_holes(
    publisher: Publisher, hub: Hub, wire: Wire
) -> None:
    live = heard(hub, wire)
    speaker = Speaker(publisher)
    speaker.begin()
    for word in ("a", "b\n\u2028", "é", "\x00"):
        speaker.say(word)
        speaker.flush()
    speaker.end()
    speaker.flush()
    kept = stream(wire)
    assert ids(kept) == [f"1-{n}" for n in range(1, 8)]
    assert names(kept) == ["started", *["delta"] * 4, "usage", "completed"]
    assert text_of(kept) == speaker.text
    assert at_least(7, live) == kept


def test_deltas_that_meet_a_write_in_flight_become_one_event(
    publisher: Publisher, wire: Wire
) -> None:
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.flush()
    wire.call(("CLIENT", "PAUSE", 10_000, "WRITE"))
    speaker.say("0")
    until(lambda: not speaker.log.pending)
    for n in range(1, 20):
        speaker.say(str(n))
        gevent.sleep(0)
    wire.call(("CLIENT", "UNPAUSE"))
    speaker.flush()
    kept = stream(wire)
    assert ids(kept) == ["1-1", "1-2", "1-3"]
    assert [event.data.count(b"\n") + 1 for event in kept[1:]] == [1, 19]
    assert text_of(kept) == speaker.text


def test_jobs_that_write_at_once_do_not_mix(publisher: Publisher, wire: Wire) -> None:
    speakers = [Speaker(publisher, f"job_{n}") for n in range(20)]
    for word in range(10):
        for n, speaker in enumerate(speakers):
            speaker.say(f"{n}.{word} ")
        gevent.sleep(0)
    for n, speaker in enumerate(speakers):
        speaker.flush()
        assert text_of(stream(wire, f"job_{n}")) == "".join(f"{n}.{word} " for word in range(10))


def test_a_later_attempt_fences_an_earlier_one(
    make_publisher: MakePublisher, redis: str, wire: Wire, fenced: list[JobLog]
) -> None:
    zombie, heir = Speaker(make_publisher(redis)), Speaker(make_publisher(redis), attempt=2)
    other = Speaker(zombie.publisher, "job_b")
    zombie.begin()
    zombie.say("old")
    zombie.flush()
    heir.begin()
    heir.flush()
    zombie.say("late")
    other.say("well")
    zombie.flush()
    heir.say("new")
    heir.flush()
    assert fenced == [zombie.log]
    assert ids(stream(wire)) == ["1-1", "1-2", "2-1", "2-2"]
    assert text_of(stream(wire)) == "new"
    assert text_of(stream(wire, "job_b")) == "well"


def test_a_zombie_does_not_bring_a_lost_stream_back_to_life(
    make_publisher: MakePublisher, redis: str, wire: Wire
) -> None:
    """Its deltas do not: what it may still write of the end is fenced in Postgres."""
    zombie = Speaker(make_publisher(redis))
    zombie.begin()
    zombie.flush()
    wire.call(("DEL", stream_key("job_a")))
    zombie.say("late")
    zombie.flush()
    assert stream(wire) == []


def test_a_lost_stream_begins_anew_with_the_answer_so_far(
    publisher: Publisher, hub: Hub, wire: Wire
) -> None:
    live = heard(hub, wire)
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.say("one ")
    speaker.flush()
    wire.call(("FLUSHALL",))
    for word in ("two ", "three ", "four "):
        speaker.say(word)
        speaker.flush()
    speaker.end()
    speaker.flush()
    kept = stream(wire)
    assert names(kept) == ["snapshot", "delta", "usage", "completed"]
    assert text_of(kept) == speaker.text
    everything = at_least(7, live)
    assert ids(everything) == [f"1-{n}" for n in range(1, 8)]
    assert names(everything) == ["started", *["delta"] * 4, "usage", "completed"]
    assert text_of(everything) == speaker.text
    assert 0 < wire.call(("TTL", stream_key("job_a")))[0] <= ENDED_TTL_S


def test_the_end_is_kept_even_if_the_stream_was_lost_before_it(
    publisher: Publisher, wire: Wire
) -> None:
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.flush()
    wire.call(("FLUSHALL",))
    speaker.say("last")
    speaker.end()
    speaker.flush()
    assert ids(stream(wire)) == ["1-3", "1-4"]
    assert names(stream(wire)) == ["usage", "completed"]
    assert 0 < wire.call(("TTL", stream_key("job_a")))[0] <= ENDED_TTL_S


@pytest.mark.parametrize("pause", [False, True])
def test_a_redis_that_is_killed_and_comes_back_has_all_once(
    own_redis: OwnRedis, make_publisher: MakePublisher, fenced: list[JobLog], pause: bool
) -> None:
    """With `pause` it dies in the middle of a write, whose fate the publisher cannot know."""
    speaker = Speaker(make_publisher(own_redis.url))
    speaker.begin()
    speaker.say("before ")
    speaker.flush()
    if pause:
        own_redis.wire().call(("CLIENT", "PAUSE", 10_000, "WRITE"))
        speaker.say("during ")
        until(lambda: not speaker.log.pending)
    own_redis.kill()
    speaker.say("away ")
    gevent.sleep(0)
    own_redis.start()
    speaker.say("after ")
    speaker.end()
    speaker.flush()
    kept = stream(own_redis.wire())
    assert ids(kept) == [f"1-{n}" for n in range(1, len(kept) + 1)]
    assert (names(kept)[0], names(kept)[-1]) == ("started", "completed")
    assert text_of(kept) == speaker.text
    assert fenced == []


def test_a_write_that_was_taken_unheard_is_not_taken_twice(
    publisher: Publisher, wire: Wire, fenced: list[JobLog]
) -> None:
    """The connection broke after Redis had written: the same ids go again and are refused."""
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.say("one ")
    events = speaker.log.take()
    for again in (False, True, True):
        assert publisher._write([(speaker.log, events)], again=again)
    assert ids(stream(wire)) == ["1-1", "1-2"]
    assert fenced == []


def test_a_redis_that_refuses_writes_for_a_while_has_all_once(
    own_redis: OwnRedis, make_publisher: MakePublisher, fenced: list[JobLog]
) -> None:
    """As it does while it loads its data, or as a replica in the middle of a failover."""
    speaker = Speaker(make_publisher(own_redis.url))
    speaker.begin()
    speaker.flush()
    own_redis.wire().call(("REPLICAOF", "127.0.0.1", "1"))
    speaker.say("one ")
    until(lambda: not speaker.log.pending)
    speaker.say("two ")
    own_redis.wire().call(("REPLICAOF", "NO", "ONE"))
    speaker.end()
    speaker.flush()
    kept = stream(own_redis.wire())
    assert ids(kept) == [f"1-{n}" for n in range(1, len(kept) + 1)]
    assert text_of(kept) == speaker.text
    assert names(kept)[-1] == "completed"
    assert fenced == []


def test_a_stream_lives_an_hour_while_it_runs_and_a_day_when_it_has_ended(
    publisher: Publisher, wire: Wire
) -> None:
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.flush()
    [running] = wire.call(("TTL", stream_key("job_a")))
    speaker.end()
    speaker.flush()
    [ended] = wire.call(("TTL", stream_key("job_a")))
    assert 0 < running <= RUNNING_TTL_S < ended <= ENDED_TTL_S


def test_the_whole_answer_travels_on_the_channel_alone_before_the_end(
    publisher: Publisher, hub: Hub, wire: Wire
) -> None:
    live = heard(hub, wire)
    speaker = Speaker(publisher)
    speaker.begin()
    speaker.log.result = b'{"whole":1}'
    speaker.end()
    speaker.flush()
    events = at_least(4, live)
    assert names(events) == ["started", "usage", "result", "completed"]
    assert events[2] == Event(EventId(0, 0), "result", b'{"whole":1}')
    assert names(stream(wire)) == ["started", "usage", "completed"]


def test_a_drain_waits_until_all_is_written(publisher: Publisher, wire: Wire) -> None:
    speaker = Speaker(publisher)
    wire.call(("CLIENT", "PAUSE", 10_000, "WRITE"))
    speaker.say("a")
    publisher.drain(0.01)
    wire.call(("CLIENT", "UNPAUSE"))
    publisher.drain(10)
    assert text_of(stream(wire)) == "a"


def test_a_writer_that_died_is_replaced(publisher: Publisher, wire: Wire) -> None:
    speaker = Speaker(publisher)
    speaker.say("a")
    speaker.flush()
    publisher._writer.kill()
    speaker.say("b")
    speaker.flush()
    assert text_of(stream(wire)) == "ab"


OPERATIONS = st.lists(
    st.one_of(
        st.integers(1, 12).map(lambda size: ("say", size)),
        st.just(("take", 0)),
        st.just(("snapshot", 0)),
    ),
    max_size=40,
)


@given(OPERATIONS, st.integers(0, 3))
@example([("say", 12), ("snapshot", 0), ("say", 1)], 0)
def test_what_was_dropped_for_want_of_room_comes_as_a_snapshot(
    operations: list[tuple[str, int]], more: int
) -> None:
    """However much waits for a Redis that is away, a reader of the rest has the whole text."""
    words = iter(range(10**6))
    written: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.events.publish.PENDING_BYTES_MAX", 10 * len(choice("0")))
        speaker = Speaker(Publisher("unix:///nowhere", lambda _: None))
        patch.setattr(speaker.publisher, "wrote", lambda _: None)
        speaker.begin()
        for what, size in operations:
            if what == "say":
                for _ in range(size):
                    speaker.say(f"{next(words)} ")
            elif what == "snapshot":
                speaker.event("snapshot", speaker.log.snapshot())
            else:
                written += speaker.log.take()
        promised = speaker.log.last_seq_after(more)
        for n in range(more):
            speaker.event(f"event{n}")
        written += speaker.log.take()
    assert ids(written) == [f"1-{n}" for n in range(1, promised + 1)]
    assert text_of(written) == speaker.text
    assert names(written)[0] == "started"


def test_a_restart_is_told_before_the_snapshot_that_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader discards at `restarted` what came before it."""
    monkeypatch.setattr("app.events.publish.PENDING_BYTES_MAX", 20)
    speaker = Speaker(Publisher("unix:///nowhere", lambda _: None), attempt=2)
    monkeypatch.setattr(speaker.publisher, "wrote", lambda _: None)
    speaker.begin()
    speaker.say("much more than there is room for")
    events = speaker.log.take()
    assert names(events) == ["restarted", "snapshot"]
    assert text_of(events) == speaker.text
