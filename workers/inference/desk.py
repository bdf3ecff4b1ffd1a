"""A worker process at work: claims jobs, runs each in a greenlet, settles them, stays alive.

Bells and the process's own regular look both end in `answer`, which claims as many jobs as there
are slots for; the slots bound what runs at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from app.catalogue.load import catalogue
from app.catalogue.model import PriceEntry
from app.db.connect import Connection
from app.db.group import GroupCommit, GroupFailed
from app.db.reads import Reads
from app.events.publish import JobLog, Publisher
from app.ids import new_id
from app.jobs import store
from app.jobs.model import Claimed, HandedBack, Outcome
from app.jobs.planned import store as planned
from app.queue import Bell
from app.settings import Settings
from app.telemetry import log
from app.vault import Vault
from workers.inference.cached import AnswerCache
from workers.inference.choice import Choices
from workers.inference.context import Contexts
from workers.inference.own_keys import OwnKeys
from workers.inference.relay import Relay
from workers.inference.routing import Routing
from workers.inference.run import Attempt, Cancelled, Ended, Lost, Parts, Released
from workers.inference.shadow import Shadow
from workers.providers.registry import Providers

SETTLE_RETRY_S = (0.2, 0.5, 1.0, 2.0)
REFUSALS_MAX = 4


class Run(Protocol):
    """What runs one attempt of a job: `Attempt` answers a client, a chore does the house's work."""

    @property
    def job(self) -> Claimed: ...

    @property
    def relay(self) -> Relay: ...

    def run(self) -> Ended: ...

    def tell(self, outcome: Outcome) -> None: ...

    def without_answer(self, outcome: Outcome) -> None: ...


Runner = Callable[[Parts, Claimed], Run]


@dataclass(slots=True)
class Running:
    """A job in this process. `calling` until its provider calls are over: only so long may it be
    thrown an exception, and only one."""

    attempt: Run
    greenlet: Any = None
    calling: bool = True
    thrown: bool = False

    def throw(self, error: type[BaseException]) -> None:
        """Ends the provider calls with `error`, once those who run now have had their turn."""
        if self.calling and not self.thrown:
            self.thrown = True
            gevent.get_hub().loop.run_callback(self._deliver, error)

    def _deliver(self, error: type[BaseException]) -> None:
        # By now the greenlet has begun: one that is killed before it begins never cleans up.
        if self.calling:
            self.greenlet.throw(error)


class Desk:
    """The jobs of one worker process. `chores` run the kinds of jobs that they are named for;
    `Attempt` runs all others."""

    def __init__(
        self, settings: Settings, lane: str, chores: Mapping[str, Runner] | None = None
    ) -> None:
        self._chores = chores or {}
        self.settings, self.lane, self.worker_id = settings, lane, new_id("wrk")
        self.running: dict[str, Running] = {}
        self.draining = False
        self._slots = BoundedSemaphore(settings.slots(lane))
        self._bell = Bell(settings.redis)
        models = catalogue(settings)
        publisher = Publisher(settings.redis, self._fenced)
        reads, routing = Reads(settings.postgres, "worker"), Routing(settings)
        choices = Choices(settings, models, reads, routing)
        self._parts = Parts(
            settings, models, Providers(models, settings), publisher,
            OwnKeys(reads, Vault(settings)), AnswerCache(reads), routing, reads,
            Contexts(reads, settings, models), choices,
            Shadow(choices, models, reads) if settings.router_shadow else None,
        )  # fmt: skip
        self._claims: GroupCommit[tuple[str, int], list[Claimed]] = GroupCommit(
            settings.postgres, "claim", self._claim_group
        )
        self._settles: GroupCommit[Outcome, bool] = GroupCommit(
            settings.postgres, "settle", lambda c, o: store.settle_group(c, self.worker_id, o)
        )
        self._returns: GroupCommit[tuple[HandedBack, str], str | None] = GroupCommit(
            settings.postgres, "requeue", _requeue_group
        )

    def answer(self, lane: str, count: int) -> None:
        """Runs up to `count` jobs that wait in `lane`, those whose turn it is; returns when they
        have ended."""
        jobs: list[Any] = []
        while count > 0 and not self.draining:
            wanted = self._take_slots(count)
            try:
                claimed = self._claims.submit((lane, wanted))
            except GroupFailed:
                claimed = []
            self._give_slots(wanted - len(claimed))
            jobs += [self._start(job) for job in claimed]
            if len(claimed) < wanted:
                break
            count -= wanted
        gevent.joinall(jobs)

    @property
    def prices(self) -> list[PriceEntry]:
        """The prices that this process charges."""
        return self._parts.catalogue.price_list()

    @property
    def free_slots(self) -> int:
        return int(self._slots.counter)

    def cancel(self, job_id: str) -> None:
        """Ends a running job's provider call; what it produced is billed."""
        running = self.running.get(job_id)
        if running is not None:
            running.throw(Cancelled)

    def lose(self, job_id: str) -> None:
        """Drops a job that another worker has, or will have."""
        running = self.running.get(job_id)
        if running is not None:
            running.throw(Lost)

    def snapshot(self, job_id: str) -> None:
        """Writes a running job's answer so far into its log."""
        running = self.running.get(job_id)
        if running is not None and running.calling:
            running.attempt.relay.write_snapshot()

    def drain(self, patience_s: float) -> None:
        """Claims no more; lets jobs finish for a while, then hands back those that still run."""
        self.draining = True
        with gevent.Timeout(patience_s, False):
            while self.running:
                gevent.joinall([r.greenlet for r in self.running.values() if r.greenlet], count=1)
        for running in list(self.running.values()):
            running.throw(Released)
        gevent.joinall([r.greenlet for r in list(self.running.values())], timeout=patience_s + 5)
        self._parts.publisher.drain(2.0)
        self._parts.routing.close()
        if self._parts.own_keys is not None:
            self._parts.own_keys.close()
        if self._parts.reads is not None:
            self._parts.reads.close()

    def _take_slots(self, count: int) -> int:
        self._slots.acquire()
        taken = 1
        while taken < count and self._slots.acquire(blocking=False):
            taken += 1
        return taken

    def _give_slots(self, count: int) -> None:
        for _ in range(count):
            self._slots.release()

    def _start(self, job: Claimed) -> Any:
        run = self._chores.get(job.kind, Attempt)
        running = Running(run(self._parts, job))
        self.running[job.id] = running
        running.greenlet = gevent.spawn(self._run, running)
        return running.greenlet

    def _run(self, running: Running) -> None:
        job = running.attempt.job
        try:
            ended = running.attempt.run()
            running.calling = False
            self._finish(running.attempt, ended)
        finally:
            self.running.pop(job.id, None)
            self._give_slots(1)

    def _finish(self, attempt: Run, ended: Ended) -> None:
        job = attempt.job
        if ended.outcome is not None:
            if self._until_committed(self._settles, ended.outcome, attempt.without_answer):
                attempt.tell(ended.outcome)
        elif ended.handed_back != "lost" or any(ended.owed.values()):
            # One that is lost is no longer ours to hand back, but what it called is still owed.
            back = HandedBack(job.id, job.attempt, ended.calls, ended.owed, ended.later_s)
            item = (back, ended.handed_back)
            lane = self._until_committed(self._returns, item, None)
            if lane is not None:
                self._bell.ring(lane, [job.id])

    def _until_committed(
        self, group: GroupCommit[Any, Any], item: Any, simpler: Callable[[Any], None] | None
    ) -> Any:
        """Tries until Postgres has taken `item`: it is fenced by its attempt, so again is safe.
        One that Postgres keeps refusing is made `simpler`, lest it stays open for ever."""
        tries = 0
        while True:
            try:
                return group.submit(item)
            except GroupFailed as failed:
                log("worker").warning("not committed yet", error=str(failed), count=tries)
                gevent.sleep(SETTLE_RETRY_S[min(tries, len(SETTLE_RETRY_S) - 1)])
                tries += 1
                if failed.refused and simpler is not None and tries == REFUSALS_MAX:
                    simpler(item)

    def _claim_group(
        self, connection: Connection, asked: list[tuple[str, int]]
    ) -> list[list[Claimed]]:
        lanes = {lane for lane, _ in asked}
        got = {
            lane: store.claim(
                connection, lane, self.worker_id, sum(n for at, n in asked if at == lane)
            )
            for lane in lanes
        }
        shares = []
        for lane, count in asked:
            shares.append(got[lane][:count])
            got[lane] = got[lane][count:]
        return shares

    def _fenced(self, job_log: JobLog) -> None:
        running = self.running.get(job_log.job_id)
        if running is not None and running.attempt.job.attempt == job_log.attempt:
            running.throw(Lost)


def _requeue_group(connection: Connection, items: list[tuple[HandedBack, str]]) -> list[str | None]:
    """Hands jobs back; for each its lane, if it waits there at once."""
    lanes: dict[str, str] = {}
    later = [back for back, _ in items if back.later_s is not None]
    if later:
        planned.postpone(connection, later)
    now = [(back, how) for back, how in items if back.later_s is None]
    for outcome in {how for _, how in now}:
        lanes.update(store.requeue(connection, [b for b, how in now if how == outcome], outcome))
    return [lanes.get(back.id) for back, _ in items]
