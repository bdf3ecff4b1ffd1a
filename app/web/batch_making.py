"""Batches on their way in: new ones, and those that try lines again."""

from dataclasses import replace
from typing import Any

import orjson
from flask import Response, request

from app.batches import store
from app.batches.model import CHORE_DEADLINE_S, ENDED, LANE, READ_KIND, Batch, NewBatch
from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest, Overloaded
from app.files import store as files
from app.ids import new_id
from app.jobs.model import Draft, chore_draft
from app.jobs.planned.moments import check_moments
from app.jobs.store import admit_group
from app.web.asked import app_id_of
from app.web.auth import caller
from app.web.batch_object import batch_object
from app.web.front import Front
from app.web.schemas.batches import NewBatchBody

CHAT = "/v1/chat/completions"
WINDOW = "24h"


class Making:
    """A batch and the job that reads its lines, made in one transaction. `asked`: what that job is
    told beside the batch's id. What only the time of the transaction can tell, subclasses see to
    in `check`, so that a request that comes again is answered as it was."""

    def __init__(self, front: Front, new: NewBatch, asked: dict[str, Any]) -> None:
        self._front, self._new = front, new
        self._chore = _reading(front, new, asked)

    def check(self, connection: Connection) -> None:
        """Raises for what cannot be made."""

    def work(self, connection: Connection) -> tuple[int, dict[str, Any]]:
        """Makes both. Raises Overloaded, and what `check` raises."""
        self.check(connection)
        store.create(connection, self._new)
        if admit_group(connection, [self._chore]) != ["admitted"]:
            raise Overloaded("Too many batch jobs are waiting; try again.", retry_after=5)
        made = store.find(connection, self._new.tenant_id, self._new.id)
        assert made is not None
        return 200, batch_object(made)

    def begun(self, answer: Response) -> Response:
        """The answer, once a worker is told of the job."""
        self._front.jobs.ring(LANE, [self._chore.id])
        return answer


class New(Making):
    """A new batch. Raises InvalidRequest for a body that has no input, or two."""

    def __init__(self, front: Front, wanted: NewBatchBody) -> None:
        _unless_one_input(wanted)
        requests = [one.model_dump() for one in wanted.requests or ()]
        super().__init__(front, _new(wanted), {"requests": requests} if requests else {})

    def check(self, connection: Connection) -> None:
        """Raises InvalidRequest."""
        check_moments(self._new.run_at_s, self._new.not_after_s)
        if self._new.input_file_id is not None:
            _unless_readable(connection, self._new.tenant_id, self._new.input_file_id)


class Again(Making):
    """A batch of the lines of another one that have not completed."""

    def __init__(self, front: Front, batch: Batch) -> None:
        self._batch = batch
        super().__init__(front, _again(batch), {})

    def check(self, connection: Connection) -> None:
        """Raises Conflict, and InvalidRequest if the input is gone."""
        later = store.retried_by(connection, self._batch)
        batch = store.find(connection, self._batch.tenant_id, self._batch.id) or self._batch
        if batch.status not in ENDED:
            raise Conflict("The batch has not ended yet; cancel it, or wait for its end.")
        if later is not None:
            raise Conflict(
                f"The lines of this batch are tried again already, by {later}; for what that one "
                "leaves, retry it in its turn.",
                code="already_retried", extra={"batch_id": later},
            )  # fmt: skip
        if batch.completed == batch.total:
            raise Conflict("No line of this batch has failed after it was accepted.")
        if batch.input_file_id is not None:
            _unless_readable(connection, batch.tenant_id, batch.input_file_id)
        elif not store.has_requests(connection, batch):
            raise InvalidRequest("The requests of this batch were deleted.", param="requests")


def _unless_one_input(wanted: NewBatchBody) -> None:
    """Raises InvalidRequest for a body that does not say what its lines are, or says it twice."""
    if wanted.requests is not None and wanted.input_file_id is not None:
        raise InvalidRequest(
            "requests: give the lines either by input_file_id or by requests.", param="requests"
        )
    if wanted.requests is not None:
        return
    for name in ("input_file_id", "endpoint", "completion_window"):
        if getattr(wanted, name) is None:
            beside = ", or requests in its place" if name == "input_file_id" else ""
            raise InvalidRequest(
                f"Missing required parameter: '{name}'{beside}.", param=name,
                code="missing_required_parameter",
            )  # fmt: skip


def _unless_readable(connection: Connection, tenant_id: str, file_id: str) -> None:
    row = files.find(connection, tenant_id, file_id)
    if row is None:
        raise InvalidRequest(f"There is no file {file_id!r}.", param="input_file_id")
    if row.purpose != "batch":
        raise InvalidRequest(
            f"The file {file_id!r} has the purpose {row.purpose!r}; a batch reads one of the "
            "purpose 'batch'.", param="input_file_id",
        )  # fmt: skip


def _new(wanted: NewBatchBody) -> NewBatch:
    who, chore_id = caller(), new_id("job")
    expires = wanted.output_expires_after
    return NewBatch(
        id=new_id("batch"),
        tenant_id=who.tenant_id,
        key_id=who.key_id,
        app_id=app_id_of(who, request.environ),
        test=who.mode == "test",
        endpoint=wanted.endpoint or CHAT,
        input_file_id=wanted.input_file_id,
        input_job_id=None if wanted.requests is None else chore_id,
        retry_of=None,
        completion_window=wanted.completion_window or WINDOW,
        priority=wanted.priority,
        metadata=orjson.dumps(wanted.metadata).decode() if wanted.metadata else None,
        ttl_s=expires.seconds if expires is not None else None,
        chore_id=chore_id,
        run_at_s=wanted.run_at,
        not_after_s=wanted.not_after,
    )


def _again(batch: Batch) -> NewBatch:
    who = caller()
    return NewBatch(
        id=new_id("batch"),
        tenant_id=who.tenant_id,
        key_id=who.key_id,
        app_id=app_id_of(who, request.environ),
        test=who.mode == "test",
        endpoint=batch.endpoint,
        input_file_id=batch.input_file_id,
        input_job_id=batch.input_job_id,
        retry_of=batch.retry_of or batch.id,
        completion_window=batch.completion_window,
        priority=batch.priority,
        metadata=orjson.dumps(batch.metadata).decode() if batch.metadata else None,
        ttl_s=batch.ttl_s,
        chore_id=new_id("job"),
    )


def _reading(front: Front, new: NewBatch, asked: dict[str, Any]) -> Draft:
    told_it = orjson.dumps({"batch_id": new.id, **asked}).decode()
    chore = chore_draft(
        READ_KIND, told_it, new.tenant_id, key_id=new.key_id, app_id=new.app_id, lane=LANE,
        deadline_s=CHORE_DEADLINE_S, backlog=front.settings.backlog(LANE),
    )  # fmt: skip
    return replace(chore, id=new.chore_id)
