"""What tests of the evolution work with: answers that can be rated, days that pass, proof."""

from collections.abc import Mapping
from typing import Any

import orjson

from app.db.connect import Connection
from app.evolution import service, store
from app.evolution.drift import Bounds
from app.evolution.feedback.store import rated_job
from app.evolution.model import Feedback, NewFeedback, RatedJob, Rollback, Terms
from app.jobs.store import admit_group, claim, settle_group
from tests.app.line import LANE, draft, outcome

SHIPPED = {"protective": 850_000, "curious": 920_000, "empathetic": 880_000}
TERMS = Terms(SHIPPED, Bounds(200_000, 50_000))


def terms(total: int = 200_000, daily: int = 50_000, **baseline: int) -> Terms:
    """The operator's terms, in millionths."""
    return Terms(baseline or SHIPPED, Bounds(total, daily))


def answer(
    connection: Connection,
    tenant_id: str,
    *,
    asked: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
    kind: str = "chat.completion",
    model: str = "m",
) -> str:
    """The id of a job that has ended with an answer; `asked` stands in its request, `told` in the
    answer."""
    wanted = draft(tenant_id, 0, request=orjson.dumps({"messages": [], **(asked or {})}).decode())
    wanted.kind, wanted.model = kind, model
    assert admit_group(connection, [wanted]) == ["admitted"]
    [job] = claim(connection, LANE, "wrk_a", 1)
    assert job.id == wanted.id
    ended = outcome(job, 0)
    ended.body = orjson.dumps({"choices": [], **(told or {})}).decode()
    ended.provider = "builtin"
    assert settle_group(connection, "wrk_a", [ended]) == [True]
    return wanted.id


def job(connection: Connection, tenant_id: str, job_id: str) -> RatedJob:
    """The job as feedback knows it. Fails the test if it is not there."""
    found = rated_job(connection, tenant_id, job_id)
    assert found is not None
    return found


def rate(
    connection: Connection, tenant_id: str, new: NewFeedback, *, of: str | None = None,
    under: Terms = TERMS, key_id: str = "key_x",
) -> Feedback:  # fmt: skip
    """Gives feedback on a job, or on a new one."""
    job_id = answer(connection, tenant_id) if of is None else of
    with connection.transaction():
        rated = job(connection, tenant_id, job_id)
        return service.rate(connection, under, tenant_id, rated, new, key_id)


def more(trait: str, rating: float = 1.0) -> NewFeedback:
    """Feedback that wants a step more of a trait."""
    return NewFeedback(rating, traits={trait: "more"})


def less(trait: str, rating: float = -1.0) -> NewFeedback:
    """Feedback that wants a step less of a trait."""
    return NewFeedback(rating, traits={trait: "less"})


def roll_back(connection: Connection, tenant_id: str, what: Rollback, under: Terms = TERMS) -> None:
    """Undoes adaptations in a transaction."""
    with connection.transaction():
        service.roll_back(connection, under, tenant_id, what, "key_x")


def drifts(connection: Connection, tenant_id: str, under: Terms = TERMS) -> dict[str, int]:
    """How far the traits that have drifted are from their baselines, as anybody reads it."""
    states = service.status(connection, under, tenant_id, 1).traits
    return {state.name: state.drift.now for state in states if state.drift.now}


def next_day(connection: Connection, tenant_id: str) -> None:
    """Makes all that was moved so far a day older."""
    with connection.transaction():
        # As a replica does: what is kept refuses to be rewritten otherwise.
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in (
            "UPDATE trait_drift SET day = day - 1 WHERE tenant_id = %s",
            "UPDATE trait_change SET day = day - 1 WHERE tenant_id = %s",
        ):
            connection.execute(statement, (tenant_id,))


def assert_holds(connection: Connection, tenant_id: str, under: Terms = TERMS) -> None:
    """Fails the test if the invariant is broken, by the rows or by what is shown."""
    assert store.violations(connection) == []
    assert service.status(connection, under, tenant_id, 1).holds
