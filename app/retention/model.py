"""What a deletion job deletes, and the job itself on its way to admission."""

from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from app.jobs.model import Draft, Lane, chore_draft

KIND = "content.deletion"
LANE: Lane = "system"
DEADLINE_S = 3600.0
RETENTION_KEY = "retention"
"""Stands where other jobs have the id of their caller's key."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The jobs of a tenant whose content is to be deleted: those that meet all that is given; and
    its files, where that says no more than an app and a time.

    `since` and `before` bound the time of admission, unix seconds. `user` is the field of the
    request; `session_id` is the session's name.
    """

    before: float | None = None
    app_id: str | None = None
    user: str | None = None
    session_id: str | None = None
    job_ids: list[str] | None = None
    since: float | None = None
    reason: Literal["request", "retention"] = "request"

    @property
    def names_jobs(self) -> bool:
        """Whether it asks for what jobs alone have."""
        return any((self.user, self.session_id, self.job_ids))

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "Selection":
        return cls(**orjson.loads(text))


def deletion_draft(
    selection: Selection, tenant_id: str, *, key_id: str, app_id: str, backlog: int
) -> Draft:
    """A deletion job. It costs nothing, and runs in the lane of the house's own work."""
    return chore_draft(
        KIND, selection.to_json(), tenant_id, key_id=key_id, app_id=app_id, lane=LANE,
        deadline_s=DEADLINE_S, backlog=backlog,
    )  # fmt: skip
