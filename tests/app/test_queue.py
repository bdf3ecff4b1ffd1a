"""The doorbell: Celery's own consumer reads it, and a Redis that is away costs it nothing."""

import socket
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import gevent.socket
import pytest
from celery import Celery
from celery.worker.request import Request
from kombu import Connection, Exchange, Queue
from kombu.message import Message
from kombu.transport.memory import Transport
from kombu.utils.json import dumps

import app.redis
from app.queue import (
    BELL_IDS,
    CALL_TTL_S,
    LANES,
    RING_TIMEOUT_S,
    Bell,
    Task,
    bell_message,
    worker_config,
)
from app.redis import Wire
from app.settings import Settings
from app.stack.probe import redis_version
from app.stack.redis import Redis
from tests.app.events.parts import until
from tests.conftest import running

IDS = [f"job_{n}" for n in range(40)]
UNREACHED_S = 1.5


class Ears:
    """A Celery worker's own parts around a task of the bell's name."""

    def __init__(self, broker: str) -> None:
        self.heard: list[tuple[list[str], str]] = []
        self.app = Celery("ears")
        self.app.conf.update(worker_config(broker, 4))
        self.task = self.app.task(name=Task.ANSWER.value, shared=False)(self._answer)

    def _answer(self, job_ids: list[str], lane: str) -> None:
        self.heard.append((job_ids, lane))

    def take(self, message: Message) -> Request:
        """The request that a worker makes of a message, once it has run."""
        assert message.headers["task"] in self.app.tasks
        request = Request(
            message,
            app=self.app,
            hostname="ears",
            task=self.task,
            body=message.body,
            headers=message.headers,
            decoded=False,
            utc=True,
        )
        request.execute()
        return request

    def listen(self, lane: str, bells: int) -> list[Request]:
        """So many bells of a lane, by Celery's own consumer."""
        requests: list[Request] = []
        queues = [Queue(lane, Exchange(lane), routing_key=lane)]

        def hear(message: Message) -> None:
            requests.append(self.take(message))
            message.ack()

        with (
            self.app.connection_for_read() as connection,
            self.app.amqp.TaskConsumer(connection.default_channel, queues=queues, on_message=hear),
        ):
            while len(requests) < bells:
                connection.drain_events(timeout=5)
        return requests


@pytest.fixture
def settings(redis: str, tmp_path: Path) -> Settings:
    return Settings(redis_url=redis, data_dir=tmp_path)


def waiting(redis: str, lane: str) -> int:
    wire = Wire(redis)
    [count] = wire.call(("LLEN", lane))
    wire.close()
    return int(count)


def test_celery_reads_a_bell_as_a_call_of_its_task() -> None:
    ears = Ears("memory://")
    body, headers, properties = bell_message("batch", ["job_a", "job_b"])
    with Connection(transport=Transport) as connection:
        channel = connection.default_channel
        raw = channel.prepare_message(
            dumps(body),
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            properties={**properties, "delivery_info": {}, "delivery_tag": "1"},
        )
        request = ears.take(channel.message_to_python(raw))
    assert ears.heard == [(["job_a", "job_b"], "batch")]
    assert (request.name, request.id) == ("inference.answer", properties["correlation_id"])
    assert request.args == [["job_a", "job_b"], "batch"]
    assert request.kwargs == {}
    assert request.eta is None
    assert request.expires is None
    assert request.task_id == request.root_id


def test_what_flower_shows_of_a_bell_is_its_job_ids() -> None:
    _, headers, _ = bell_message("batch", ["job_a", "job_b"])
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("(job_a, job_b)", "{}")


@pytest.mark.parametrize("lane", LANES)
def test_a_bell_lands_in_its_lanes_list_and_celery_hears_it(settings: Settings, lane: str) -> None:
    bell = Bell(settings.redis)
    assert bell.ring_now(lane, ["job_a"])
    assert {at: waiting(settings.redis, at) for at in LANES} == {at: at == lane for at in LANES}
    ears = Ears(settings.broker)
    [request] = ears.listen(lane, 1)
    assert request.name in ears.app.tasks
    assert ears.heard == [(["job_a"], lane)]
    assert waiting(settings.redis, lane) == 0


def test_a_burst_is_cut_into_bells(settings: Settings) -> None:
    assert Bell(settings.redis).ring_now("batch", IDS)
    ears = Ears(settings.broker)
    ears.listen("batch", 3)
    assert [len(ids) for ids, _ in ears.heard] == [BELL_IDS, BELL_IDS, len(IDS) - 2 * BELL_IDS]
    assert [job_id for ids, _ in ears.heard for job_id in ids] == IDS


def test_rings_that_meet_go_together(settings: Settings) -> None:
    bell = Bell(settings.redis)
    for job_id in IDS[:10]:
        bell.ring("batch", [job_id])
    bell.ring("system", ["job_s"])
    until(lambda: waiting(settings.redis, "batch") == waiting(settings.redis, "system") == 1)
    ears = Ears(settings.broker)
    ears.listen("batch", 1)
    ears.listen("system", 1)
    assert ears.heard == [(IDS[:10], "batch"), (["job_s"], "system")]


def test_the_worker_knows_every_task_by_its_name() -> None:
    import tasks.inference
    import tasks.upkeep
    import tasks.webhooks
    from workers.main import TASKS, app

    for name in TASKS:
        import_module(f"tasks.{name}")
    assert set(Task) <= set(app.tasks)
    assert app.tasks[Task.ANSWER].run is tasks.inference.answer.run
    assert app.tasks[Task.VERIFY_LEDGER].run is tasks.upkeep.verify_ledger.run
    assert app.tasks[Task.DELIVER_WEBHOOKS].run is tasks.webhooks.deliver.run
    assert {q.name for q in app.conf.task_queues} == set(LANES)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a Redis that takes connections and says nothing, as a frozen one does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def unheard(bell: Bell) -> float:
    """How long a ring took that nobody could hear."""
    began = time.monotonic()
    assert bell.ring_now("batch", IDS) is False
    return time.monotonic() - began


@pytest.mark.parametrize(
    "broker",
    ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock"],
)
def test_ringing_without_redis_says_so_at_once(broker: str) -> None:
    assert unheard(Bell(broker)) < UNREACHED_S / 3


def test_ringing_a_frozen_redis_gives_up(silent: str) -> None:
    """Without gevent's sockets, as in the upkeep; with them after 250 ms."""
    assert unheard(Bell(silent)) < UNREACHED_S


def test_ringing_a_frozen_redis_takes_a_door_250_ms(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.redis, "socket", gevent.socket)
    assert unheard(Bell(silent)) < RING_TIMEOUT_S + 0.2


def test_a_redis_that_went_and_came_back_is_rung_again(folder: Path) -> None:
    place = Settings(data_dir=folder)
    program = Redis(place.home, place.socket_dir).program()
    bell = Bell(place.redis)
    with running(program, lambda: redis_version(place.redis) is not None):
        assert bell.ring_now("batch", ["job_a"])
    assert bell.ring_now("batch", ["job_b"]) is False
    with running(program, lambda: redis_version(place.redis) is not None):
        assert bell.ring_now("batch", ["job_c"])
        assert waiting(place.redis, "batch") == 2


def test_a_call_lands_in_its_lane_as_a_message_without_arguments(settings: Settings) -> None:
    assert Bell(settings.redis).call(Task.DELIVER_WEBHOOKS, "system")
    with Connection(settings.broker) as connection:
        queue = Queue("system", Exchange("system"), routing_key="system")
        message = queue(connection.default_channel).get(no_ack=True)
    assert isinstance(message, Message)
    assert message.headers["task"] == "webhooks.deliver"
    assert message.headers["argsrepr"] == "()"
    args, kwargs, _ = message.payload
    assert (args, kwargs) == ([], {})


def test_calls_do_not_pile_up_until_one_is_answered(settings: Settings) -> None:
    bell = Bell(settings.redis)
    assert [bell.call(Task.DELIVER_WEBHOOKS, "system") for _ in range(3)] == [True, False, False]
    assert waiting(settings.redis, "system") == 1
    bell.answered(Task.DELIVER_WEBHOOKS)
    assert Bell(settings.redis).call(Task.DELIVER_WEBHOOKS, "system")
    assert waiting(settings.redis, "system") == 2


def test_a_call_that_nobody_answers_is_made_again_after_a_while(settings: Settings) -> None:
    Bell(settings.redis).call(Task.DELIVER_WEBHOOKS, "system")
    wire = Wire(settings.redis)
    [left_s] = wire.call(("TTL", "called:webhooks.deliver"))
    wire.close()
    assert 0 < left_s <= CALL_TTL_S


def test_a_call_without_redis_is_not_taken_and_raises_nothing(tmp_path: Path) -> None:
    bell = Bell(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path).redis)
    assert not bell.call(Task.DELIVER_WEBHOOKS, "system")
    bell.answered(Task.DELIVER_WEBHOOKS)
