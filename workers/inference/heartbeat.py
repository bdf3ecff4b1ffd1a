"""Keeps a worker process's lease, and its list of jobs the same as Postgres's."""

import os
import socket
from typing import Any

import gevent
import psycopg

from app.db.connect import Connection, connect
from app.events.hub import Hub, on_message
from app.jobs import store
from app.jobs.model import HandedBack
from app.jobs.service import control_channel
from app.telemetry import log
from app.usage.store import record_prices
from workers.inference.desk import Desk

BEAT_TIMEOUT_S = 5.0
SIGN_ON_RETRY_S = 0.5
LOOK_MAX = 64
"""Jobs claimed at most by one look at the lane without a bell."""


class Heartbeat:
    """A greenlet, not a thread: a process whose hub is stuck must lose its lease."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._connection: Connection | None = None
        self._strangers: set[tuple[str, int]] = set()
        self._greenlets: list[Any] = []

    def start(self) -> None:
        """Signs on, then beats until `stop`. Waits for a Postgres that is away: whoever claims
        without a lease has its jobs taken from it."""
        while not self._signed_on():
            gevent.sleep(SIGN_ON_RETRY_S)
        hub = Hub(self._desk.settings.redis)
        channel = control_channel(self._desk.worker_id)
        self._greenlets = [gevent.spawn(self._run), on_message(hub, channel, self._told)]

    def stop(self) -> None:
        """Stops beating and signs off."""
        gevent.killall(self._greenlets)
        try:
            with gevent.Timeout(BEAT_TIMEOUT_S):
                store.sign_off(self._open(), self._desk.worker_id)
        except (psycopg.Error, gevent.Timeout) as error:
            log("worker").warning("not signed off", error=str(error))

    def _run(self) -> None:
        while True:
            gevent.sleep(self._desk.settings.heartbeat_seconds)
            try:
                with gevent.Timeout(BEAT_TIMEOUT_S):
                    self._beat()
            except (psycopg.Error, gevent.Timeout) as error:
                log("worker").warning("heartbeat missed", error=str(error))
                self._drop()

    def _beat(self) -> None:
        desk = self._desk
        local = {job_id: r.attempt.job.attempt for job_id, r in desk.running.items()}
        owned = store.heartbeat(self._open(), desk.worker_id, desk.settings.lease_seconds)
        if owned is None:
            self._sign_on()
            return
        attempts = {job_id: attempt for job_id, attempt, _ in owned}
        for job_id, attempt in local.items():
            if attempts.get(job_id) != attempt:
                desk.lose(job_id)
        for job_id, _, cancel in owned:
            if cancel:
                desk.cancel(job_id)
        self._return_strangers(owned)
        if desk.free_slots > 0 and not desk.draining:
            gevent.spawn(desk.answer, desk.lane, min(desk.free_slots, LOOK_MAX))

    def _return_strangers(self, owned: list[tuple[str, int, bool]]) -> None:
        """Hands back jobs that Postgres says are ours but that we do not have, twice in a row: a
        claim whose commit we never heard of."""
        strangers = {(job_id, at) for job_id, at, _ in owned if job_id not in self._desk.running}
        lost = [
            HandedBack(job_id, attempt, None) for job_id, attempt in strangers & self._strangers
        ]
        if lost:
            store.requeue(self._open(), lost, "released")
        self._strangers = strangers

    def _signed_on(self) -> bool:
        try:
            with gevent.Timeout(BEAT_TIMEOUT_S):
                self._sign_on()
        except (psycopg.Error, gevent.Timeout) as error:
            log("worker").warning("not signed on yet", error=str(error))
            self._drop()
            return False
        return True

    def _sign_on(self) -> None:
        desk = self._desk
        record_prices(self._open(), desk.prices)
        store.register_worker(
            self._open(), desk.worker_id, desk.lane, socket.gethostname(), os.getpid(),
            desk.settings.lease_seconds,
        )  # fmt: skip

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._desk.settings.postgres, "heartbeat")
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _told(self, message: bytes) -> None:
        order, _, job_id = message.decode().partition(" ")
        if order == "cancel":
            self._desk.cancel(job_id)
        elif order == "snapshot":
            self._desk.snapshot(job_id)
