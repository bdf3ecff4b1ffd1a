"""The re-ringer and the reaper: a process of its own, of which two may run side by side."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

from app.accounts.answers import forget_answers
from app.db.connect import Connection, connect
from app.errors import DeadlinePassed, ProvidersFailed
from app.jobs import store
from app.jobs.forget import sweep_undelivered
from app.jobs.model import MAX_STRIKES, HandedBack
from app.jobs.planned import store as planned
from app.jobs.service import tell_end
from app.queue import Bell, Task
from app.settings import Settings, settings
from app.telemetry import configure_logs, log
from app.webhooks import store as webhooks

ROUND_S = 1.0
BATCH = 500
DUE = 5000
"""Scheduled jobs that a round puts into their lanes at most: many may share a full hour."""

GAP_S = 6.0
"""A reaper that has not run for so long was away together with Postgres."""


class Upkeep:
    """One round after another over one connection."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._bell = Bell(chosen.redis)

    def round(self, connection: Connection) -> None:
        """Puts scheduled jobs into their lanes at their time, rings again for jobs that nobody
        claimed, ends those past their deadline, brings back those whose worker is gone, forgets
        what nobody fetched, and calls for webhooks that are due."""
        self.ring(planned.due(connection, DUE))
        self.ring(store.due_bells(connection, BATCH))
        self._expire(connection)
        lease_s = self._settings.lease_seconds
        if store.reaper_may_run(connection, max(GAP_S, lease_s * 0.75), lease_s):
            self.reap(connection)
        sweep_undelivered(connection, self._settings.redis)
        if webhooks.due(connection):
            self._bell.call(Task.DELIVER_WEBHOOKS, "system")

    def ring(self, jobs: list[tuple[str, str]]) -> None:
        """Rings for (job id, lane) pairs."""
        for lane in {lane for _, lane in jobs}:
            self._bell.ring_now(lane, [job_id for job_id, at in jobs if at == lane])

    def reap(self, connection: Connection) -> None:
        """Jobs of dead workers: cancelled if that was asked, failed at the last strike, else
        queued again."""
        lost = store.lost_jobs(connection, BATCH)
        again: list[HandedBack] = []
        for job_id, attempt, strikes, cancel in lost:
            if cancel:
                self._end(connection, job_id, "cancelled", None)
            elif strikes + 1 >= MAX_STRIKES:
                error = ProvidersFailed(
                    f"The job was lost with its worker {MAX_STRIKES} times and is given up.",
                    code="max_attempts",
                )
                self._end(connection, job_id, "failed", error.body())
            else:
                again.append(HandedBack(job_id, attempt, None))
        if again:
            log("upkeep").warning("jobs reaped", count=len(again))
            self.ring(store.requeue(connection, again, "lost"))
        store.forget_workers(connection)
        store.forget_keys(connection)
        forget_answers(connection)

    def _expire(self, connection: Connection) -> None:
        late = DeadlinePassed("The job was not begun before its not_after.", code="not_after")
        overdue = DeadlinePassed("The job was not started before its deadline.")
        for ids, why in (
            (planned.belated_jobs(connection, BATCH), late),
            (store.overdue_jobs(connection, BATCH), overdue),
        ):
            if ids:
                error = why.body()
                for ended in store.void(connection, ids, "queued", "expired", error, "upkeep"):
                    tell_end(self._settings.redis, ended, "expired", orjson.dumps(error))

    def _end(
        self, connection: Connection, job_id: str, state: str, error: dict[str, Any] | None
    ) -> None:
        for ended in store.void(connection, [job_id], "running", state, error, "reaper"):
            tell_end(self._settings.redis, ended, state, orjson.dumps(error))


def main(*beside: Callable[[threading.Event], None]) -> None:
    """Runs rounds until SIGTERM or SIGINT; `beside` are told when, and run in threads of their
    own."""
    configure_logs(settings().log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    for part in beside:
        threading.Thread(target=part, args=(stop,), daemon=True).start()
    upkeep, connection = Upkeep(settings()), None
    while not stop.is_set():
        began = time.monotonic()
        try:
            if connection is None or connection.closed:
                connection = connect(settings().postgres, "upkeep")
            upkeep.round(connection)
        except Exception as error:
            # Whatever it is, the next round is due: jobs of dead workers depend on it.
            log("upkeep").error("round failed", error=repr(error), exc_info=True)
            if connection is not None:
                connection.close()
        stop.wait(max(0.0, ROUND_S - (time.monotonic() - began)))
