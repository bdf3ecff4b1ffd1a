"""A tenant's personality: how feedback moves it within the operator's bounds, and the way back.

What writes is to be called in a transaction.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest, NotFound
from app.evolution import store
from app.evolution.drift import NONE, Bounds, Drift, held, millionths, moved, returned, share
from app.evolution.feedback import store as feedback_store
from app.evolution.model import (
    ChangeKind,
    Feedback,
    NewFeedback,
    RatedJob,
    Rollback,
    Span,
    Status,
    Terms,
    TraitRow,
    TraitState,
)
from app.evolution.steps import steps
from app.evolution.store import NewChange
from app.ids import new_id
from app.memory.weighing.store import weigh
from app.settings import settings

MEMORY_STEP = 0.05
"""How far a rating of 1 raises the importance, 0 to 1, of the memories that an answer was given."""


def current_traits(
    connection: Connection, tenant_id: str, baseline: Mapping[str, float],
    bounds: Bounds | None = None,
) -> dict[str, float]:  # fmt: skip
    """The traits of `baseline`, 0 to 1, as this tenant's feedback has moved them. Without `bounds`
    those of the settings hold."""
    terms = Terms.of(baseline, settings())
    if bounds is not None:
        terms = replace(terms, bounds=bounds)
    states = _states(store.trait_rows(connection, tenant_id), terms, store.today(connection))
    return {name: share(state.baseline + state.drift.now) for name, state in states.items()}


def rate(
    connection: Connection, terms: Terms, tenant_id: str, job: RatedJob, new: NewFeedback,
    key_id: str,
) -> Feedback:  # fmt: skip
    """Keeps feedback on a job in the place of what was said of it before, and lets it have its
    effect. Raises InvalidRequest for a trait that is not the operator's or a job that is no answer,
    and Conflict for one that has not ended."""
    _check(terms, job, new)
    traits = _Traits(connection, terms, tenant_id)
    feedback_id = new_id("fbk")
    old = feedback_store.standing_feedback(connection, tenant_id, job.id)
    if old is not None:
        feedback_store.replace_feedback(connection, old.id, feedback_id)
    feedback_store.insert_feedback(connection, feedback_id, tenant_id, key_id, job, new)
    if old is not None:
        traits.take_back(old.id, feedback_id)
        weigh(connection, tenant_id, {name: -step for name, step in old.weighed.items()})
    asked = {name: millionths(value) for name, value in job.asked.items()}
    for name, step in sorted(steps(new, traits.states(), asked).items()):
        traits.adapt(name, step, feedback_id)
    gain = MEMORY_STEP * new.rating
    weighed = weigh(connection, tenant_id, dict.fromkeys(job.used, gain)) if gain else {}
    if weighed:
        feedback_store.note_weighed(connection, feedback_id, weighed)
    made = feedback_store.get_feedback(connection, tenant_id, feedback_id)
    assert made is not None
    return made


def roll_back(
    connection: Connection, terms: Terms, tenant_id: str, what: Rollback, actor: str
) -> None:
    """Undoes adaptations. Raises NotFound for a change that is not the tenant's, Conflict for one
    that does not stand, and InvalidRequest for a generation that has not been reached."""
    traits = _Traits(connection, terms, tenant_id)
    if what.change_id is not None:
        span: Span | None = _the_one(connection, tenant_id, what.change_id)
    else:
        reached, _ = store.generation(connection, tenant_id)
        if what.to_generation > reached:
            raise InvalidRequest(
                f"to_generation: the current generation is {reached}.", param="to_generation"
            )
        span = store.span_after(connection, tenant_id, what.to_generation)
    if span is not None:
        for name in store.kept_in(connection, tenant_id, span):
            traits.roll_back(name, span, actor)


def status(connection: Connection, terms: Terms, tenant_id: str, changes: int) -> Status:
    """How a tenant's traits stand, with the last `changes` of them."""
    reached, ever = store.generation(connection, tenant_id)
    today = store.today(connection)
    states = _states(store.trait_rows(connection, tenant_id), terms, today)
    return Status(
        day=today,
        generation=reached,
        adaptations=ever,
        traits=tuple(states.values()),
        bounds=terms.bounds,
        changes=tuple(store.list_changes(connection, tenant_id, changes)),
        broken=tuple(store.violations(connection, tenant_id)),
    )


class _Traits:
    """A tenant's traits in a transaction that may move them; nobody else does meanwhile."""

    def __init__(self, connection: Connection, terms: Terms, tenant_id: str) -> None:
        self._connection, self._terms, self._tenant_id = connection, terms, tenant_id
        self._today = store.lock(connection, tenant_id)
        self._rows = store.trait_rows(connection, tenant_id)

    def states(self) -> dict[str, TraitState]:
        return _states(self._rows, self._terms, self._today)

    def adapt(self, name: str, step: int, feedback_id: str) -> None:
        """Moves a trait by `step`, as far as it may; one that may not move leaves no trace."""
        row = self._begin(name)
        after = moved(row.drift, step, row.baseline, row.bounds)
        if after.now != row.drift.now:
            self._keep("feedback", row, after, feedback_id)

    def take_back(self, old_id: str, feedback_id: str) -> None:
        """Takes back what a replaced feedback has moved, as far as today's bounds allow. What they
        do not allow stands."""
        for one in store.standing(self._connection, self._tenant_id, feedback_id=old_id):
            row = self._begin(one.trait)
            kept = self._kept(one.trait, Span(one.seq, one.seq))
            after = moved(row.drift, -kept, row.baseline, row.bounds)
            if after.now != row.drift.now:
                made = self._keep("replaced", row, after, feedback_id)
                left = kept - (row.drift.now - after.now)
                store.keep_of(self._connection, one.id, left, made)

    def roll_back(self, name: str, span: Span, actor: str) -> None:
        """Undoes a span's adaptations of one trait. Where the rest would lie beyond the bounds, it
        is trimmed."""
        row = self._begin(name)
        wish = row.drift.now - self._kept(name, span)
        after = returned(row.drift, wish, row.baseline, row.bounds)
        made = self._keep("rollback", row, after, actor=actor)
        store.undo(self._connection, self._tenant_id, name, span, made)
        self._trim(name, wish - after.now, made)

    def _kept(self, name: str, span: Span) -> int:
        """What still stands of a span's adaptations of one trait; `_begin` may have trimmed it."""
        return store.kept_in(self._connection, self._tenant_id, span).get(name, 0)

    def _begin(self, name: str) -> TraitRow:
        """The trait as it stands under today's terms. What these change of it is kept first."""
        was = self._rows.get(name)
        baseline = self._terms.baseline.get(name, was.baseline if was else 0)
        row = _now(name, was, baseline, self._terms.bounds, self._today)
        if was is not None and row.drift != _same_terms(was, row.day):
            made = self._keep("bound", replace(row, drift=was.drift), row.drift)
            self._trim(name, was.drift.now - row.drift.now, made)
        return row

    def _keep(
        self, kind: ChangeKind, row: TraitRow, after: Drift, feedback_id: str | None = None,
        actor: str | None = None,
    ) -> str:  # fmt: skip
        then = replace(row, drift=after)
        made = NewChange(new_id("evo"), kind, row.drift.now, then, feedback_id, actor)
        store.insert_change(self._connection, self._tenant_id, made)
        self._rows[row.trait] = then
        return made.id

    def _trim(self, name: str, excess: int, by: str) -> None:
        if excess:
            store.trim(self._connection, self._tenant_id, name, excess, by)


def _states(rows: Mapping[str, TraitRow], terms: Terms, today: date) -> dict[str, TraitState]:
    """The operator's traits as they stand on a day."""
    found = {}
    for name, baseline in terms.baseline.items():
        row = _now(name, rows.get(name), baseline, terms.bounds, today)
        found[name] = TraitState(name, baseline, row.drift)
    return found


def _now(name: str, was: TraitRow | None, baseline: int, bounds: Bounds, today: date) -> TraitRow:
    if was is None:
        return TraitRow(name, baseline, bounds, NONE, today)
    # A day never ends twice, whichever process's transaction came first.
    day = max(was.day, today)
    drift = held(was.drift, baseline, bounds, new_day=day > was.day)
    return TraitRow(name, baseline, bounds, drift, day)


def _same_terms(was: TraitRow, day: date) -> Drift:
    """The drift on a day if the operator had changed nothing."""
    return was.drift if day == was.day else Drift(was.drift.now, was.drift.now)


def _check(terms: Terms, job: RatedJob, new: NewFeedback) -> None:
    if not job.model:
        raise InvalidRequest("Only answers of a model are rated; this job is none.", param="job_id")
    if not job.ended:
        raise Conflict("The job has not ended; rate its answer once it is there.", param="job_id")
    for name in new.traits:
        if name not in terms.baseline:
            known = ", ".join(terms.baseline) or "none"
            raise InvalidRequest(
                f"There is no trait {name!r} that feedback moves; there are: {known}.",
                param=f"traits.{name}",
            )


def _the_one(connection: Connection, tenant_id: str, change_id: str) -> Span:
    found = store.find_change(connection, tenant_id, change_id)
    if found is None:
        raise NotFound(f"There is no change {change_id!r}.", param="change_id")
    if found.kind != "feedback":
        raise Conflict("Only an adaptation can be rolled back.", param="change_id")
    if not found.kept:
        raise Conflict("This adaptation does not stand any more.", param="change_id")
    return Span(found.seq, found.seq)
