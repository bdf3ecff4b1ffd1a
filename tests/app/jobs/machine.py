"""A model of the job line in plain Python, which says what each statement must do."""

from dataclasses import dataclass, field

from app.jobs.model import MAX_STRIKES, Draft


@dataclass(slots=True)
class Known:
    """A job as the model knows it. `past` are the attempts that are over: (owner, number)."""

    tenant: str
    hold: int
    start: int
    state: str = "queued"
    attempt: int = 0
    strikes: int = 0
    owner: str | None = None
    cancel: bool = False
    settled: bool = False
    past: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """One lane: wallets, jobs, and the virtual clock of start-time fair queueing."""

    wallets: dict[str, int]
    jobs: dict[str, Known] = field(default_factory=dict)
    clock: int = 0
    finish: dict[str, int] = field(default_factory=dict)

    def of(self, *states: str) -> list[str]:
        """The ids of jobs in any of these states."""
        return sorted(i for i, job in self.jobs.items() if job.state in states)

    def ended(self) -> list[str]:
        return sorted(i for i, job in self.jobs.items() if job.state not in ("queued", "running"))

    def admit(self, drafts: list[Draft]) -> list[str]:
        """The verdicts that a group must get."""
        room = drafts[0].backlog - len(self.of("queued"))
        verdicts = []
        for draft in drafts:
            room -= 1
            if room < 0:
                verdicts.append("overloaded")
            elif draft.hold > self.wallets[draft.tenant_id]:
                verdicts.append("no_credit")
            else:
                verdicts.append("admitted")
                self._take_in(draft)
        return verdicts

    def _take_in(self, draft: Draft) -> None:
        self.wallets[draft.tenant_id] -= draft.hold
        start = max(self.clock, self.finish.get(draft.tenant_id, 0))
        self.finish[draft.tenant_id] = start + 1
        self.jobs[draft.id] = Known(draft.tenant_id, draft.hold, start)

    def claim(self, owner: str, wanted: int) -> dict[str, int]:
        """The jobs whose turn it is, with the number of the attempt that begins."""
        by_turn = sorted(self.of("queued"), key=lambda i: (self.jobs[i].start, i))
        for job_id in by_turn[:wanted]:
            job = self.jobs[job_id]
            job.state, job.owner, job.attempt = "running", owner, job.attempt + 1
            self.clock = max(self.clock, job.start)
        return {job_id: self.jobs[job_id].attempt for job_id in by_turn[:wanted]}

    def requeue(self, job_id: str, outcome: str) -> None:
        job = self.jobs[job_id]
        job.past.append((str(job.owner), job.attempt))
        job.state, job.owner = "queued", None
        job.strikes += outcome != "released"

    def end(self, job_id: str, state: str, cost: int = 0, *, settled: bool = False) -> None:
        job = self.jobs[job_id]
        if not settled and job.state == "running":
            job.past.append((str(job.owner), job.attempt))
        if job.attempt == 0:
            self.finish[job.tenant] -= 1
        job.state, job.settled = state, settled
        self.wallets[job.tenant] += job.hold - min(cost, job.hold)

    def reap(self, stalled: set[str]) -> tuple[list[str], list[str], list[str]]:
        """The jobs of workers that are gone: to cancel, to give up, to queue again."""
        lost = [i for i in self.of("running") if self.jobs[i].owner in stalled]
        cancel = [i for i in lost if self.jobs[i].cancel]
        rest = [i for i in lost if i not in cancel]
        fail = [i for i in rest if self.jobs[i].strikes + 1 >= MAX_STRIKES]
        return cancel, fail, [i for i in rest if i not in fail]
