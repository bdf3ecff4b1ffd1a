"""The Celery process: its configuration and the life of its desk.

Started as `celery -A workers.main worker -P gevent`, which patches the standard library before
this module is imported; psycopg and the sockets below it cooperate from then on.
"""

import gc
from typing import Any

import gevent
from celery import Celery, signals
from celery.bootsteps import StartStopStep
from celery.schedules import crontab
from celery.worker.consumer.events import Events
from kombu import Exchange, Queue

from app.queue import LANES, Task, worker_config
from app.settings import settings
from app.telemetry import configure_logs
from workers.chores.registry import CHORES
from workers.inference.desk import Desk
from workers.inference.heartbeat import Heartbeat

EVENT_FLUSH_S = 0.5
GC_THRESHOLDS = (50_000, 20, 50)
"""A collection walks all live objects; at the default of 700 allocations it runs many times a
request."""

TASKS = ("evolution", "inference", "memory", "router", "upkeep", "webhooks")

app = Celery("moonpool", include=[f"tasks.{name}" for name in TASKS])
app.conf.update(worker_config(settings().broker, max(settings().slots(lane) for lane in LANES)))
app.conf.task_queues = [Queue(lane, Exchange(lane), routing_key=lane) for lane in LANES]
app.conf.task_default_queue = "system"
app.conf.beat_schedule = {
    "verify the ledger each night": {
        "task": Task.VERIFY_LEDGER.value,
        "schedule": crontab(hour="3", minute="30"),
        "options": {"queue": "system"},
    },
    "mend the token counters each minute": {
        "task": Task.MEND_COUNTERS.value,
        "schedule": 60.0,
        "options": {"queue": "system", "expires": 55},
    },
    "delete content past its retention each night": {
        "task": Task.SWEEP_CONTENT.value,
        "schedule": crontab(hour="2", minute="30"),
        "options": {"queue": "system"},
    },
    "remove files that have expired or were left": {
        "task": Task.SWEEP_FILES.value,
        "schedule": 600.0,
        "options": {"queue": "system", "expires": 590},
    },
    "verify the evolution each night": {
        "task": Task.VERIFY_EVOLUTION.value,
        "schedule": crontab(hour="3", minute="45"),
        "options": {"queue": "system"},
    },
    "count feedback into the router's profile each night": {
        "task": Task.LEARN_ROUTING.value,
        "schedule": crontab(hour="4", minute="0"),
        "options": {"queue": "system"},
    },
    "consolidate memories each night": {
        "task": Task.CONSOLIDATE_MEMORY.value,
        "schedule": crontab(hour="4", minute="30"),
        "options": {"queue": "system"},
    },
}

_desk: Desk | None = None
_heartbeat: Heartbeat | None = None


def desk() -> Desk:
    """The desk of this worker process. Raises RuntimeError outside of one."""
    if _desk is None:
        raise RuntimeError("no worker runs in this process")
    return _desk


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _logs(**_: Any) -> None:
    configure_logs(settings().log_level)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _open_desk(**_: Any) -> None:
    global _desk, _heartbeat
    _desk = Desk(settings(), settings().lane, CHORES)
    _heartbeat = Heartbeat(_desk)
    _heartbeat.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    """Runs at SIGTERM, before the pool waits for its tasks: they end when their jobs have."""
    gevent.spawn(desk().drain, settings().drain_seconds)


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _close_desk(**_: Any) -> None:
    if _heartbeat is not None:
        _heartbeat.stop()


class GroupedEvents(StartStopStep):  # type: ignore[misc]
    """Sends task events in groups. Under gevent Celery sends each by itself, which costs a hot
    worker more than a third of its peak; for its asyncio-like hub it groups them, as here."""

    requires = (Events,)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._flusher: Any = None

    def start(self, parent: Any) -> None:
        dispatcher = parent.event_dispatcher
        if dispatcher is not None and dispatcher.enabled:
            dispatcher.buffer_group = {"task"}
            dispatcher.buffer_limit = 500
            self._flusher = gevent.spawn(self._flush, dispatcher)

    def stop(self, parent: Any) -> None:
        if self._flusher is not None:
            self._flusher.kill()

    def _flush(self, dispatcher: Any) -> None:
        while True:
            gevent.sleep(EVENT_FLUSH_S)
            if dispatcher._group_buffer["task"]:
                dispatcher.flush(errors=False, groups=("task",))


app.steps["consumer"].add(GroupedEvents)
