"""A job's events to their end, when the log is whole, has holes, is lost or was never written."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest

from app.db.connect import Connection
from app.events.follow import LogReader
from app.events.hub import Hub
from app.events.log import QUEUED, Event, EventId, stream_key
from app.events.publish import Publisher
from app.jobs import store, tail
from app.jobs.model import Claimed, EndState, HandedBack, Outcome
from app.jobs.service import Jobs, control_channel
from app.jobs.tail import Tail, snapshot
from app.redis import Wire
from tests.app.events.parts import Speaker, ids, names, text_of, until
from tests.app.line import running, tenant

Follow = Callable[..., Tail]


@pytest.fixture
def follow(
    jobs: Jobs, hub: Hub, redis: str, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Follow]:
    """Makes tails that look at Postgres as soon as the log is silent."""
    monkeypatch.setattr(tail, "FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(tail, "LONGEST_LOOK_S", 0.0)
    made: list[Tail] = []

    def make(job: Claimed, last: EventId = QUEUED, doors: Jobs = jobs) -> Tail:
        made.append(Tail(doors, hub, LogReader(redis), job.id, job.tenant_id, last))
        until(lambda: wire.call(("PUBSUB", "NUMSUB", stream_key(job.id)))[0][1])
        return made[-1]

    yield make
    for one in made:
        one.close()


def choices(text: str) -> list[dict[str, Any]]:
    return [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]


def settle(
    connection: Connection, job: Claimed, speaker: Speaker, state: EndState = "completed"
) -> None:
    """Ends a job in Postgres as its worker does: the terminal event is yet to be written."""
    error = None if state == "completed" else '{"code":"stream_interrupted"}'
    body = orjson.dumps({"choices": choices(speaker.text)}).decode() if speaker.text else None
    outcome = Outcome(
        id=job.id,
        attempt=job.attempt,
        state=state,
        last_seq=speaker.log.last_seq_after(2),
        body=body,
        error=error,
        usage='{"total_tokens":7}',
        cost=1,
        calls="[]",
    )
    assert store.settle_group(connection, "wrk_a", [outcome]) == [True]


def to_the_end(one: Tail) -> list[Event]:
    events: list[Event] = []

    def read() -> bool:
        events.extend(one.wait(0.02))
        return one.ended

    until(read)
    return events


@pytest.fixture
def job(connection: Connection) -> Claimed:
    return running(connection, tenant(connection))


@pytest.fixture
def speaker(publisher: Publisher, job: Claimed) -> Speaker:
    return Speaker(publisher, job.id)


def test_a_whole_log_is_passed_on_and_ends(
    connection: Connection, follow: Follow, job: Claimed, speaker: Speaker
) -> None:
    one = follow(job)
    speaker.begin()
    speaker.say("hello")
    speaker.flush()
    settle(connection, job, speaker)
    speaker.end()
    events = to_the_end(one)
    assert ids(events) == ["1-1", "1-2", "1-3", "1-4"]
    assert names(events) == ["started", "delta", "usage", "completed"]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("read_before", [False, True])
def test_a_lost_log_is_told_from_postgres(
    connection: Connection,
    follow: Follow,
    wire: Wire,
    job: Claimed,
    speaker: Speaker,
    state: EndState,
    read_before: bool,
) -> None:
    one = follow(job)
    speaker.begin()
    speaker.say("hello ")
    speaker.flush()
    before = one.wait(10) if read_before else []
    speaker.say("world")
    speaker.log.take()
    settle(connection, job, speaker, state)
    wire.call(("FLUSHALL",))
    if not read_before:
        one._follower._watch._messages.clear()
    told = to_the_end(one)
    assert names(told)[-3:] == ["snapshot", "usage", state]
    assert ids(told)[-3:] == ["1-3", "1-4", "1-5"]
    assert text_of(before + told) == "hello world"
    assert orjson.loads(told[-2].data) == {"total_tokens": 7}
    end = orjson.loads(told[-1].data)
    assert (end["job_id"], end["status"]) == (job.id, state)
    assert (end["error"] is None) == (state == "completed")


def test_only_what_is_missing_is_told(
    connection: Connection, follow: Follow, job: Claimed, speaker: Speaker
) -> None:
    """The worker died between its commit and the terminal event."""
    one = follow(job)
    speaker.begin()
    speaker.say("hello")
    speaker.flush()
    settle(connection, job, speaker)
    events = to_the_end(one)
    assert names(events) == ["started", "delta", "usage", "completed"]
    assert ids(events) == ["1-1", "1-2", "1-3", "1-4"]


def test_a_job_that_ended_without_a_worker_has_its_end_after_its_last_attempt(
    connection: Connection, follow: Follow, job: Claimed, speaker: Speaker
) -> None:
    one = follow(job)
    speaker.begin()
    speaker.say("lost with its worker")
    speaker.flush()
    store.void(connection, [job.id], "running", "failed", {"code": "max_attempts"}, "reaper")
    events = to_the_end(one)
    assert ids(events)[-1] == "2-1"
    assert names(events)[-1] == "failed"
    assert orjson.loads(events[-1].data)["error"] == {"code": "max_attempts"}


def test_a_job_that_is_open_has_no_end(
    connection: Connection, follow: Follow, job: Claimed
) -> None:
    one = follow(job)
    assert one.wait(0.01) == []
    assert one.stored() == []
    store.requeue(connection, [HandedBack(job.id, 1, None)], "lost")
    assert one.wait(0.01) == []
    assert not one.ended


def test_a_hole_is_mended_by_asking_the_worker(
    follow: Follow, hub: Hub, wire: Wire, job: Claimed, speaker: Speaker
) -> None:
    control = hub.watch(control_channel("wrk_a"))
    until(lambda: wire.call(("PUBSUB", "NUMSUB", control.channel))[0][1])
    control.lost = False
    speaker.begin()
    for word in "abc":
        speaker.say(word)
        speaker.flush()
    wire.call(("XTRIM", stream_key(job.id), "MAXLEN", 1))
    one = follow(job)
    assert one.catch_up() == one.wait(0.01) == []
    assert control.get(10) == f"snapshot {job.id}".encode()
    speaker.event("snapshot", speaker.log.snapshot())
    speaker.say("d")
    events: list[Event] = []
    while text_of(events) != "abcd":
        events += one.wait(10)
    assert names(events)[0] == "snapshot"


def test_a_reader_that_comes_back_after_the_end_has_the_rest(
    connection: Connection, follow: Follow, wire: Wire, job: Claimed, speaker: Speaker
) -> None:
    speaker.begin()
    speaker.say("hello")
    speaker.flush()
    settle(connection, job, speaker)
    speaker.end()
    speaker.flush()
    one = follow(job, EventId(1, 1))
    assert names(one.catch_up()) == ["delta", "usage", "completed"]
    assert one.ended
    wire.call(("FLUSHALL",))
    for last, rest in ((QUEUED, 3), (EventId(1, 1), 3), (EventId(1, 2), 2), (EventId(1, 3), 1)):
        late = follow(job, last)
        assert names(late.stored()) == ["snapshot", "usage", "completed"][-rest:]
        assert late.ended


def test_while_postgres_is_away_a_reader_waits(
    make_jobs: Callable[..., Jobs], follow: Follow, job: Claimed
) -> None:
    away = make_jobs(database_url="postgresql:///x?host=/nowhere")
    one = follow(job, doors=away)
    assert one.wait(0.01) == []
    assert not one.ended


def test_looks_at_postgres_grow_rarer_while_nothing_comes(
    jobs: Jobs, hub: Hub, redis: str, job: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    looks: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Tail, "_look", _noting(looks, now))
    one = Tail(jobs, hub, LogReader(redis), job.id, job.tenant_id, QUEUED)
    one._follower._watch.lost = False
    while now[0] < 60:
        one.wait(0)
        now[0] += 0.5
    one.close()
    gaps = [b - a for a, b in pairwise(looks)]
    assert looks[0] == 2.0
    assert gaps == sorted(gaps)
    assert gaps[-1] == 10.0


def _noting(looks: list[float], now: list[float]) -> Callable[[Tail], list[Event]]:
    look = Tail._look

    def noted(one: Tail) -> list[Event]:
        looks.append(now[0])
        return look(one)

    return noted


def test_a_snapshot_holds_all_choices_and_the_text_of_the_first() -> None:
    told = orjson.loads(snapshot(choices("hi")))
    assert told == {"text": "hi", "choices": choices("hi")}
    assert orjson.loads(snapshot([])) == {"text": "", "choices": []}
    tools: list[dict[str, object]] = [{"message": {"content": None, "tool_calls": []}}]
    assert orjson.loads(snapshot(tools))["text"] == ""
