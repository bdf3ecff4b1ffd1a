"""The doorbell: how a lane's workers learn that jobs wait. A bell carries job ids and no more.

A lost or doubled bell does no harm, since Postgres says what waits: workers claim for as many ids
as the bell names, whoever's turn it is. So Celery acknowledges early, keeps no results and never
retries.
"""

import os
import socket
import uuid
from base64 import b64encode
from enum import StrEnum
from typing import Any

import gevent
import orjson

from app.redis import RedisGone, ReplyError, Wire
from app.telemetry import log

BELL_IDS = 16
"""Ids in one bell at most, so that a burst spreads over the worker processes of a lane."""

RING_TIMEOUT_S = 0.25
WIRE_TIMEOUT_S = 1.0
CALL_TTL_S = 30
"""After this a call that nobody has answered is made again."""

LANES = ("interactive", "background", "batch", "system")
"""The lanes; each is a queue of the same name with worker processes of its own."""


class Task(StrEnum):
    """The names of all tasks."""

    ANSWER = "inference.answer"
    VERIFY_LEDGER = "upkeep.verify_ledger"
    MEND_COUNTERS = "upkeep.mend_counters"
    SWEEP_CONTENT = "upkeep.sweep_content"
    SWEEP_FILES = "upkeep.sweep_files"
    DELIVER_WEBHOOKS = "webhooks.deliver"
    CONSOLIDATE_MEMORY = "memory.consolidate"
    VERIFY_EVOLUTION = "evolution.verify"
    LEARN_ROUTING = "router.learn"


def worker_config(broker: str, slots: int) -> dict[str, Any]:
    """Celery's configuration for a worker with `slots` jobs at once."""
    return {
        "broker_url": broker,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "ack_emulation": False,
            "priority_steps": [0],
            "socket_timeout": 10,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "max_connections": slots + 50,
            "queue_order_strategy": "round_robin",
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "result_backend_thread_safe": True,
        "task_ignore_result": True,
        "task_store_eager_result": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "timezone": "UTC",
    }


def bell_message(lane: str, job_ids: list[str]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Body, headers and properties of a bell in Celery's message protocol 2."""
    return task_message(Task.ANSWER, [job_ids, lane], f"({', '.join(job_ids)})")


def task_message(
    task: Task, args: list[Any], shown: str
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Body, headers and properties of a call of `task` in Celery's message protocol 2
    (https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2). `shown`: what Flower
    shows of the arguments."""
    task_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": task.value,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": shown,
        "kwargsrepr": "{}",
        "origin": _ORIGIN,
        "ignore_result": True,
    }
    body = [args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    return body, headers, {"correlation_id": task_id, "reply_to": ""}


_ORIGIN = f"{os.getpid()}@{socket.gethostname()}"


def packed_bell(lane: str, job_ids: list[str]) -> bytes:
    """A bell as kombu's Redis transport stores it."""
    return packed(lane, bell_message(lane, job_ids))


def packed(lane: str, message: tuple[list[Any], dict[str, Any], dict[str, Any]]) -> bytes:
    """A message as kombu's Redis transport stores it in the list of its queue (kombu,
    `transport/virtual/base.py`, `Channel.prepare_message` and `_inplace_augment_message`)."""
    body, headers, properties = message
    stored = {
        "body": b64encode(orjson.dumps(body)).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            **properties,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": lane},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return orjson.dumps(stored)


def _call_key(task: Task) -> str:
    return f"called:{task.value}"


class Bell:
    """Rings lanes over one connection. Ringing is best effort and never raises: the re-ringer and
    the workers' own look at the table make up for a bell that was not heard.

    The message is kombu's, the connection is not: redis-py's client took two thirds of a ring.
    """

    def __init__(self, redis: str) -> None:
        self._redis = redis
        self._wire: Wire | None = None
        self._waiting: dict[str, list[str]] = {}
        self._ringer: Any = None

    def ring(self, lane: str, job_ids: list[str]) -> None:
        """Rings for `job_ids`, in a greenlet of its own; what comes meanwhile goes together."""
        self._waiting.setdefault(lane, []).extend(job_ids)
        if self._ringer is None or self._ringer.dead:
            self._ringer = gevent.spawn(self._run)

    def ring_now(self, lane: str, job_ids: list[str]) -> bool:
        """Rings and says whether the broker took it: after 250 ms at most where gevent has patched
        the sockets, else after a second of silence at each step."""
        groups = [job_ids[at : at + BELL_IDS] for at in range(0, len(job_ids), BELL_IDS)]
        pushes = [("LPUSH", lane, packed_bell(lane, ids)) for ids in groups]
        return self._told(lane, len(job_ids), *pushes) is not None

    def call(self, task: Task, lane: str) -> bool:
        """Calls for a task without arguments and says whether the broker took it. A call that is
        not `answered` yet is repeated after CALL_TTL_S at the earliest, so that calls do not pile
        up while no worker runs."""
        first = self._told(lane, 1, ("SET", _call_key(task), 1, "NX", "EX", CALL_TTL_S))
        if not first or first[0] is None:
            return False
        push = ("LPUSH", lane, packed(lane, task_message(task, [], "()")))
        return self._told(lane, 1, push) is not None

    def answered(self, task: Task) -> None:
        """Lets `task` be called again: whoever runs it says so before looking for its work."""
        self._told("system", 1, ("DEL", _call_key(task)))

    def _told(self, lane: str, count: int, *commands: tuple[Any, ...]) -> list[Any] | None:
        """Redis's replies, or None if it did not take the commands."""
        try:
            with gevent.Timeout(RING_TIMEOUT_S):
                if self._wire is None:
                    self._wire = Wire(self._redis, timeout_s=WIRE_TIMEOUT_S)
                return self._wire.call(*commands)
        except (gevent.Timeout, RedisGone, ReplyError) as error:
            log("queue").warning("bell not rung", lane=lane, count=count, error=str(error))
            if self._wire is not None:
                self._wire.close()
            self._wire = None
            return None

    def _run(self) -> None:
        while self._waiting:
            lane, job_ids = self._waiting.popitem()
            self.ring_now(lane, job_ids)
