"""The state machine's rules of money beside the job line: credit, debits, refunds, reversals and
budgets that come and go; and what its other rules stand on."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from app.accounts.tenants import change_tenant
from app.catalogue.model import Price, price_entry
from app.errors import Conflict, NoCredit
from app.jobs import store
from app.jobs.model import EndState, HandedBack, Outcome
from app.ledger.budgets import create_budget, delete_budget
from app.ledger.store import add_credit, debit, refund, reverse
from app.usage.store import record_prices
from tests.app.jobs.machine import Budget, Known, Model
from tests.app.jobs.world import World
from tests.app.line import LANE, tenant

WORKERS = ("wrk_a", "wrk_b")
APPS = ("tests", "other")
CREDITS = (300, 200, 40)
OVERDRAFT = 150
PICK = st.integers(0, 1_000_000)
TOKENS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40))
"""Prompt tokens, those of them that were cached, completion tokens."""

PRICE = Price.model_validate({"input": "0.001", "cached_input": "0.0004", "output": "0.0025"})
"""A nano-dollar for a token of the prompt, 0.4 for one that was cached, 2.5 for one said."""

PRICED = price_entry("m", "p", PRICE)
OWED = st.dictionaries(st.sampled_from(["p", "q"]), st.integers(0, 9))

Told = TypeVar("Told")


class Rules(RuleBasedStateMachine):
    """Three tenants: one with budgets, one with none, and one who pays afterwards."""

    make_world: ClassVar[Callable[[], World]]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make_world()
        admin = self.world.admin
        record_prices(admin, [PRICED])
        self.tenants = [tenant(admin, 0) for _ in range(3)]
        self.model = Model(dict.fromkeys(self.tenants, 0), Counter())
        for one, credit in zip(self.tenants, CREDITS, strict=True):
            self.model.post(add_credit(admin, one, credit, "first").id, one, credit)
        change_tenant(admin, self.tenants[2], {"overdraft": OVERDRAFT})
        self.model.overdrafts[self.tenants[2]] = OVERDRAFT
        self.add_budget(0, None, 40, 160)
        self.add_budget(0, APPS[0], 30, 120)
        for worker in WORKERS:
            store.register_worker(admin, worker, LANE, "host", 1, 3600)

    def has(self, *states: str) -> bool:
        return bool(self.model.of(*states))

    def one_of(self, ids: list[str], pick: int) -> tuple[str, Known]:
        job_id = ids[pick % len(ids)]
        return job_id, self.model.jobs[job_id]

    def settle(
        self, owner: str, job_id: str, attempt: int, state: EndState, tokens: tuple[int, int, int],
        owed: dict[str, int],
    ) -> tuple[bool, int]:  # fmt: skip
        """Settles an attempt; whether it stands, and what its tokens cost. `owed` is for one that
        has not told yet."""
        prompt, cached, completion = tokens[0], min(tokens[:2]), tokens[2]
        paid = state != "failed"
        cost = PRICE.cost(prompt, cached, completion).total if paid else 0
        outcome = Outcome(
            job_id, attempt, state, 4, "{}", None, None, cost, "[]", prompt, cached, completion,
            "p", PRICED.version if paid else None, self.model.owes(job_id, attempt, owed),
        )  # fmt: skip
        [stands] = self.world.group(lambda c: store.settle_group(c, owner, [outcome]))
        return stands, cost

    def hand_back(self, job_id: str, attempt: int, how: str, owed: dict[str, int]) -> list[Any]:
        back = HandedBack(job_id, attempt, "[]", self.model.owes(job_id, attempt, owed))
        return self.world.group(lambda c: store.requeue(c, [back], how))

    def refused(
        self, error: type[Exception] | None, act: Callable[[], Told]
    ) -> Told | None:  # fmt: skip
        """What `act` returns; None if it is refused with `error`, as it must be."""
        if error is None:
            return act()
        with pytest.raises(error):
            act()
        return None

    @rule(who=st.integers(0, 2), amount=st.integers(1, 120))
    def credit(self, who: int, amount: int) -> None:
        one = self.tenants[who]
        entry = add_credit(self.world.admin, one, amount, "more")
        self.model.post(entry.id, one, amount)

    @rule(who=st.integers(0, 2), amount=st.integers(1, 400))
    def debit(self, who: int, amount: int) -> None:
        one = self.tenants[who]
        error = None if self.model.may_pay(one, amount) else NoCredit
        entry = self.refused(error, lambda: debit(self.world.admin, one, amount, "less"))
        if entry is not None:
            self.model.post(entry.id, one, -amount)

    @precondition(lambda self: self.model.ended())
    @rule(pick=PICK, part=st.sampled_from(["whole", "half", "too much"]))
    def refund(self, pick: int, part: str) -> None:
        paid = [i for i in self.model.ended() if self.model.jobs[i].cost > 0]
        job_id, known = self.one_of(paid or self.model.ended(), pick)
        nanos = {"whole": None, "half": max(known.left // 2, 1), "too much": known.left + 1}[part]
        error = Conflict if known.left == 0 or part == "too much" else None
        entry = self.refused(error, lambda: refund(self.world.admin, job_id, nanos, "sorry"))
        if entry is not None:
            amount = known.left if nanos is None else nanos
            self.model.post(entry.id, known.tenant, amount, job_id)

    @rule(pick=PICK)
    def reverse(self, pick: int) -> None:
        entries = sorted(self.model.entries, key=lambda i: int(i.partition("_")[2]))
        entry = entries[-1 - pick % len(entries)]
        posted = self.model.entries[entry]
        error: type[Exception] | None = None
        if posted.reversed:
            error = Conflict
        elif not self.model.may_pay(posted.tenant, posted.change) and posted.change > 0:
            error = NoCredit
        if self.refused(error, lambda: reverse(self.world.admin, entry, "undone")) is not None:
            self.model.reverse(entry)

    def add_budget(self, who: int, app: str | None, soft: int | None, hard: int | None) -> None:
        one = self.tenants[who]
        scope = ("app", app) if app else ("tenant", one)
        made = create_budget(self.world.admin, one, *scope, "month", soft, hard)  # type: ignore[arg-type]
        self.model.add_budget(made.id, Budget(one, app, soft, hard))

    @rule(
        who=st.integers(0, 2), app=st.sampled_from([None, *APPS]),
        soft=st.sampled_from([None, 30]), hard=st.integers(60, 300),
    )  # fmt: skip
    def budget_comes_or_goes(
        self, who: int, app: str | None, soft: int | None, hard: int
    ) -> None:  # fmt: skip
        one = self.tenants[who]
        there = [n for n, b in self.model.budgets.items() if (b.tenant, b.app) == (one, app)]
        if not there:
            self.add_budget(who, app, soft, hard)
            return
        delete_budget(self.world.admin, one, there[0])
        del self.model.budgets[there[0]]
