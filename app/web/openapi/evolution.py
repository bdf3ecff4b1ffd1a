"""Feedback, and what it moved."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.operation import Operation, PageQuery, Query, Room, Told
from app.web.schemas.evolution import FeedbackBody, RollbackBody
from app.web.schemas.usage import JOB_ID

TITLE = "Feedback and evolution"


class Feedback(Told):
    """Feedback as it was given, and what it moved."""

    id: str
    object: Literal["feedback"]
    job_id: str
    kind: str
    model: str
    provider: str | None
    rating: float
    reason: str | None
    correction: str | None
    traits: dict[str, Literal["more", "less"]]
    adaptations: list[dict[str, Any]]
    memories: list[dict[str, Any]]
    key_id: str
    created_at: int
    replaced_by: str | None


class FeedbackQuery(PageQuery):
    """The parameters of the list."""

    job_id: Annotated[str, Field(json_schema_extra=JOB_ID, description="of this job alone")] = ""


class TraitNow(Told):
    """A trait: the operator's baseline, and how far feedback has moved it from there."""

    name: str
    baseline: float
    value: float
    drift: float
    drift_today: float
    bound_total: float
    bound_daily: float


class Loyalty(Told):
    """The bounds, and whether they hold."""

    bound_total: float
    bound_daily: float
    max_drift: float
    max_drift_today: float
    holds: bool
    violations: list[str]


class EvolutionStatus(Told):
    """How a tenant's personality stands."""

    object: Literal["evolution.status"]
    generation: int
    adaptations: int
    traits: list[TraitNow]
    loyalty: Loyalty
    last_changes: list[dict[str, Any]]
    window: dict[str, int]


class StatusQuery(Query):
    """How many changes are shown."""

    limit: Annotated[int, Field(ge=1, le=100, description="how many changes")] = 20


FEEDBACK = Room(TITLE, {
    "list_all": Operation("Feedback, newest first", Feedback, True, query=FeedbackQuery),
    "give_feedback": Operation("Rate an answer; a later rating of it replaces this one", Feedback,
                               status=201, takes=FeedbackBody, refuses=(404, 409)),
})  # fmt: skip

EVOLUTION = Room(TITLE, {
    "get_status": Operation("How far feedback has moved the personality, and its bounds",
                            EvolutionStatus, query=StatusQuery),
})  # fmt: skip

ROLLBACK = Room(TITLE, {
    "roll_back": Operation("Undo adaptations", EvolutionStatus, takes=RollbackBody,
                           refuses=(404, 409)),
})  # fmt: skip
