"""A model of the job line and its money in plain Python, which says what each statement must do."""

from collections import Counter
from dataclasses import dataclass, field

from app.jobs.model import END_STATES, MAX_STRIKES, Draft


@dataclass(slots=True)
class Known:
    """A job as the model knows it. `past` are the attempts that are over: (owner, number);
    `left` is what may still be refunded of its cost."""

    tenant: str
    app: str
    hold: int
    start: int
    state: str = "queued"
    attempt: int = 0
    strikes: int = 0
    owner: str | None = None
    cancel: bool = False
    budgets: list[str] = field(default_factory=list)
    cost: int = 0
    left: int = 0
    used: int = 0
    retry_of: str | None = None
    past: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """A tenant's budget, or with `app` one of its apps'."""

    tenant: str
    app: str | None
    soft: int | None
    hard: int | None
    spent: int = 0
    held: int = 0
    warned: bool = False

    def counts(self, tenant: str, app: str) -> bool:
        return self.tenant == tenant and self.app in (None, app)

    @property
    def soft_reached(self) -> bool:
        return self.soft is not None and self.spent >= self.soft


@dataclass(slots=True)
class Posted:
    """An entry that may be reversed: `change` is what it did to the wallet."""

    tenant: str
    change: int
    job_id: str | None = None
    reversed: bool = False


@dataclass(slots=True)
class Model:
    """One lane: wallets, jobs, and the virtual clock of start-time fair queueing."""

    wallets: dict[str, int]
    overdrafts: Counter[str] = field(default_factory=Counter)
    budgets: dict[str, Budget] = field(default_factory=dict)
    jobs: dict[str, Known] = field(default_factory=dict)
    keys: dict[tuple[str, str], Draft] = field(default_factory=dict)
    entries: dict[str, Posted] = field(default_factory=dict)
    owed: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    warnings: int = 0
    clock: int = 0
    finish: dict[str, int] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)

    def of(self, *states: str) -> list[str]:
        """The ids of jobs in any of these states."""
        return sorted(i for i, job in self.jobs.items() if job.state in states)

    def ended(self) -> list[str]:
        return sorted(i for i, job in self.jobs.items() if job.state in END_STATES)

    def may_pay(self, tenant: str, amount: int) -> bool:
        return amount <= self.wallets[tenant] + self.overdrafts[tenant]

    def admit(self, drafts: list[Draft]) -> list[str]:
        """The verdicts that a group must get."""
        room = drafts[0].backlog - len(self.of("queued"))
        verdicts: dict[str, str] = {}
        leaders: dict[tuple[str, str], Draft] = {}
        for draft in drafts:
            key = (draft.tenant_id, draft.idempotency_key or draft.id)
            leader = self.keys.get(key) or leaders.setdefault(key, draft)
            if leader is not draft:
                same = leader.body_hash == draft.body_hash
                first = verdicts.get(leader.id, "admitted")
                if first.startswith("admitted"):
                    first = f"replayed {leader.id}"
                verdicts[draft.id] = first if same else "mismatch"
                continue
            room -= 1
            verdicts[draft.id] = "overloaded" if room < 0 else self._verdict(draft)
        for key, draft in leaders.items():
            if draft.idempotency_key and verdicts[draft.id].startswith("admitted"):
                self.keys[key] = draft
        return [verdicts[draft.id] for draft in drafts]

    def _verdict(self, draft: Draft) -> str:
        mine = {
            name: budget
            for name, budget in sorted(self.budgets.items())
            if budget.counts(draft.tenant_id, draft.app_id) and draft.hold > 0
        }
        for name, budget in mine.items():
            if budget.hard is not None and budget.spent + budget.held + draft.hold > budget.hard:
                return f"over_budget {name}"
        if not self.may_pay(draft.tenant_id, draft.hold):
            return "no_credit"
        self.wallets[draft.tenant_id] -= draft.hold
        start = max(self.clock, self.finish.get(draft.tenant_id, 0))
        self.finish[draft.tenant_id] = start + 1
        for budget in mine.values():
            budget.held += draft.hold
        self.jobs[draft.id] = Known(
            draft.tenant_id, draft.app_id, draft.hold, start, budgets=[*mine]
        )  # fmt: skip
        warned = [name for name, budget in mine.items() if budget.soft_reached]
        return f"admitted {warned[0]}" if warned else "admitted"

    def schedule(self, job_id: str) -> None:
        """A job that was admitted leaves its lane until its time, and gives its turn back."""
        self.jobs[job_id].state = "scheduled"
        self.finish[self.jobs[job_id].tenant] -= 1

    def due(self, ids: list[str]) -> None:
        """Scheduled jobs come into their lane as if they were admitted now."""
        for job_id in ids:
            job = self.jobs[job_id]
            job.state, job.start = "queued", max(self.clock, self.finish.get(job.tenant, 0))
            self.finish[job.tenant] = job.start + 1
            self.late.discard(job_id)

    def retried(self, job_id: str) -> str | None:
        """The last job that is made again out of one, and stands for it."""
        again = [i for i, job in self.jobs.items() if job.retry_of == job_id]
        alive = [i for i in again if self.jobs[i].state not in ("failed", "cancelled", "expired")]
        return max(alive, default=None)

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
        self.late.discard(job_id)
        if job.attempt == 0 and job.state == "queued":
            self.finish[job.tenant] -= 1
        job.state = state
        job.cost = job.left = min(cost, job.hold)
        self.wallets[job.tenant] += job.hold - job.cost
        for budget in [self.budgets[name] for name in job.budgets if name in self.budgets]:
            budget.held -= job.hold
            budget.spent += job.cost
            if budget.soft_reached and not budget.warned:
                budget.warned = True
                self.warnings += 1

    def reap(self, stalled: set[str]) -> tuple[list[str], list[str], list[str]]:
        """The jobs of workers that are gone: to cancel, to give up, to queue again."""
        lost = [i for i in self.of("running") if self.jobs[i].owner in stalled]
        cancel = [i for i in lost if self.jobs[i].cancel]
        rest = [i for i in lost if i not in cancel]
        fail = [i for i in rest if self.jobs[i].strikes + 1 >= MAX_STRIKES]
        return cancel, fail, [i for i in rest if i not in fail]

    def add_budget(self, name: str, budget: Budget) -> None:
        """A new budget counts what has been spent and is held already."""
        self.budgets[name] = budget
        for job in self.jobs.values():
            if budget.counts(job.tenant, job.app):
                budget.spent += job.cost
                if job.state not in END_STATES and job.hold > 0:
                    budget.held += job.hold
                    job.budgets.append(name)

    def post(self, entry: str, tenant: str, change: int, job_id: str | None = None) -> None:
        """A credit, debit or refund."""
        self.entries[entry] = Posted(tenant, change, job_id)
        self.wallets[tenant] += change
        if job_id is not None:
            self.jobs[job_id].left -= change

    def reverse(self, entry: str) -> None:
        posted = self.entries[entry]
        posted.reversed = True
        self.wallets[posted.tenant] -= posted.change
        if posted.job_id is not None:
            self.jobs[posted.job_id].left += posted.change

    def owes(self, job_id: str, attempt: int, owed: dict[str, int]) -> dict[str, int]:
        """What an attempt owes: an attempt has made its calls once, however often it tells."""
        return self.owed.setdefault((job_id, attempt), owed)
