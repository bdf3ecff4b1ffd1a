"""`/v1/evolution`: how far feedback has moved a tenant's personality, and the way back."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask import Blueprint, Response

from app.accounts import audit
from app.db.connect import Connection
from app.errors import InvalidRequest
from app.evolution import service
from app.evolution.drift import share
from app.evolution.model import Change, Rollback, Status, Terms
from app.web.accounts import unix
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import PAGE, json_answer, limit
from app.web.posting import posted, read_json
from app.web.schemas.evolution import RollbackBody

PREFIX = "/v1/evolution"
DAY = timedelta(days=1)


def evolution_routes(front: Front) -> Blueprint:
    """The blueprint that shows the evolution."""
    routes = Blueprint("evolution", __name__, url_prefix=PREFIX)
    terms = Terms.of(front.catalogue.personality, front.settings)

    @routes.get("/status")
    def get_status() -> Response:
        tenant_id, size = caller().tenant_id, limit()
        found = front.reads.run(lambda c: service.status(c, terms, tenant_id, size))
        return json_answer(status_object(found))

    return routes


def rollback_routes(front: Front) -> Blueprint:
    """The blueprint that turns it back, which needs another scope."""
    routes = Blueprint("rollback", __name__, url_prefix=PREFIX)
    terms = Terms.of(front.catalogue.personality, front.settings)

    @routes.post("/rollback")
    def roll_back() -> Response:
        asked, who = read_json(front, RollbackBody), caller()
        what = _what(asked)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            service.roll_back(connection, terms, who.tenant_id, what, who.key_id)
            target, detail = what.change_id or who.tenant_id, asked.given()
            audit.record(
                connection, who.key_id, "evolution.rollback", target, who.tenant_id, detail
            )
            now = service.status(connection, terms, who.tenant_id, PAGE)
            return 200, status_object(now)

        return posted(front, work)

    return routes


def status_object(now: Status) -> dict[str, Any]:
    """The state of evolution as its tenant sees it."""
    total, daily = share(now.bounds.total), share(now.bounds.daily)
    day_start = datetime.combine(now.day, time(), UTC)
    drifts = [(state.drift.now, state.drift.now - state.drift.day_start) for state in now.traits]
    return {
        "object": "evolution.status",
        "generation": now.generation,
        "adaptations": now.adaptations,
        "traits": [
            {
                "name": state.name,
                "baseline": share(state.baseline),
                "value": share(state.baseline + state.drift.now),
                "drift": share(drift),
                "drift_today": share(today),
                "bound_total": total,
                "bound_daily": daily,
            }
            for state, (drift, today) in zip(now.traits, drifts, strict=True)
        ],
        "loyalty": {
            "bound_total": total,
            "bound_daily": daily,
            "max_drift": share(max((abs(drift) for drift, _ in drifts), default=0)),
            "max_drift_today": share(max((abs(today) for _, today in drifts), default=0)),
            "holds": now.holds,
            "violations": [f"{one.place}: {one.message} ({one.check})" for one in now.broken],
        },
        "last_changes": [change_object(change) for change in now.changes],
        "window": {"start": unix(day_start), "end": unix(day_start + DAY)},
    }


def change_object(change: Change) -> dict[str, Any]:
    """A move of a trait and its cause."""
    adapted = change.kind == "feedback"
    return {
        "id": change.id,
        "kind": "adaptation" if adapted else change.kind,
        "at": unix(change.at),
        "trait": change.trait,
        "from": share(change.baseline + change.before),
        "to": share(change.baseline + change.after),
        "cause": {
            "feedback_id": change.feedback_id,
            "job_id": change.job_id,
            "rating": change.rating,
            "reason": change.reason,
            "key_id": change.actor,
        },
        "rolled_back": adapted and not change.kept,
        "undone_by": change.undone_by,
    }


def _what(asked: RollbackBody) -> Rollback:
    """What is to be undone. Raises InvalidRequest unless it is exactly one thing."""
    given = list(asked.given())
    if len(given) != 1:
        param = given[1] if given else "to_generation"
        raise InvalidRequest("Send one of to_generation, change_id and to.", param=param)
    return Rollback(asked.change_id, asked.to_generation or 0)
