"""Deletions, admitted and done."""

from typing import Any

import orjson

from app.db.connect import Connection
from app.jobs import store
from app.retention.model import LANE, Selection, deletion_draft
from workers.inference.desk import Desk


def deletion_of(connection: Connection, tenant_id: str, **asked: Any) -> str:
    """Admits a deletion: `deletion_of(connection, mine, user="u1")`. Returns its id."""
    draft = deletion_draft(Selection(**asked), tenant_id, key_id="key_x", app_id="a", backlog=99)
    assert store.admit_group(connection, [draft]) == ["admitted"]
    return draft.id


def result_of(connection: Connection, tenant_id: str, job_id: str) -> dict[str, Any]:
    """The result of a job that has completed."""
    job = store.find_job(connection, job_id, tenant_id)
    assert job is not None
    assert job.state == "completed", job.error
    assert job.body is not None
    told: dict[str, Any] = orjson.loads(job.body)
    return told


def deleted(
    desk: Desk, connection: Connection, tenant_id: str, **asked: Any
) -> tuple[str, dict[str, Any]]:
    """Has a desk do a deletion; returns its id and result."""
    job_id = deletion_of(connection, tenant_id, **asked)
    desk.answer(LANE, 1)
    return job_id, result_of(connection, tenant_id, job_id)
