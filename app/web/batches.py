"""`/v1/batches`: OpenAI's Batches, run by our own workers."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gevent
import orjson
from flask import Blueprint, Response, request

from app.batches import store
from app.batches.lines import ID_PREFIX, told
from app.batches.model import (
    CHORE_DEADLINE_S,
    ENDED,
    LANE,
    READ_KIND,
    Batch,
    EndedLine,
    NewBatch,
)
from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest, NotFound, Overloaded
from app.files.service import Files
from app.ids import new_id
from app.jobs.model import Draft, chore_draft
from app.jobs.planned.moments import check_moments
from app.jobs.store import admit_group
from app.money import usd
from app.web.auth import caller
from app.web.front import Front
from app.web.inference import app_id_of
from app.web.paging import after, json_answer, limit, page, parameters, plain_ids
from app.web.posting import posted, read_json
from app.web.schemas.accounts import NothingBody
from app.web.schemas.batches import NewBatchBody, ResultsQuery
from app.web.sse import PING_S, TICK_S, client_gone, frame, stream_response

CHAT = "/v1/chat/completions"
WINDOW = "24h"
PAGE = 25
"""Lines in memory while all are told: an image has a megabyte or two."""


def batch_routes(front: Front) -> Blueprint:
    """The blueprint of batches."""
    routes = Blueprint("batches", __name__, url_prefix="/v1/batches")
    routes.url_value_preprocessor(plain_ids)
    files = Files(front.reads, front.settings)

    @routes.post("")
    def create_batch() -> Response:
        wanted = read_json(front, NewBatchBody)
        check_moments(wanted.run_at, None)
        if wanted.input_file_id is not None:
            _unless_readable(files, wanted.input_file_id)
        requests = [one.model_dump() for one in wanted.requests or ()]
        making = Making(front, _new(wanted), {"requests": requests} if requests else {})
        return making.begun(posted(front, making.work))

    @routes.get("")
    def list_batches() -> Response:
        tenant_id, start, size = caller().tenant_id, after(), limit()
        found = front.reads.run(lambda c: store.page(c, tenant_id, start, size + 1))
        return json_answer(page([batch_object(batch) for batch in found], size))

    @routes.get("/<batch_id>")
    def get_batch(batch_id: str) -> Response:
        return json_answer(batch_object(_there(front, batch_id)))

    @routes.post("/<batch_id>/cancel")
    def cancel_batch(batch_id: str) -> Response:
        batch = _there(front, batch_id)
        read_json(front, NothingBody)

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            store.cancel(connection, batch.id)
            now = store.find(connection, batch.tenant_id, batch.id)
            return 200, batch_object(now or batch)

        return posted(front, work)

    @routes.post("/<batch_id>/retry")
    def retry_batch(batch_id: str) -> Response:
        batch = _there(front, batch_id)
        read_json(front, NothingBody)
        making = Making(front, _again(batch), {})
        return making.begun(posted(front, making.work))

    _reading_routes(routes, front)
    return routes


def _reading_routes(routes: Blueprint, front: Front) -> None:
    @routes.get("/<batch_id>/results")
    def list_results(batch_id: str) -> Response:
        batch, query = _there(front, batch_id), parameters(ResultsQuery)
        start = 0
        if query.after is not None:
            start = _number(front, batch, query.after)
        if query.format == "jsonl":
            return Response(_all_results(front, batch, start), mimetype="application/jsonl")
        found = _results(front, batch, start, query.limit + 1)
        return json_answer(page([told(line) for line in found], query.limit))

    @routes.get("/<batch_id>/events")
    def follow_batch(batch_id: str) -> Response:
        batch = _there(front, batch_id)
        return stream_response(_events(front, batch, request.environ), {})


def batch_object(batch: Batch) -> dict[str, Any]:
    """The batch as OpenAI shows it, with its priority, its progress and what it costs."""
    ended: dict[str, int | None] = {f"{end}_at": None for end in sorted(ENDED)}
    if batch.status in ENDED:
        ended[f"{batch.status}_at"] = _unix(batch.ended_s)
    errors = None if batch.errors is None else {"object": "list", "data": batch.errors}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "errors": errors,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": int(batch.created_s),
        "in_progress_at": _unix(batch.in_progress_s),
        "expires_at": int(batch.expires_s),
        "finalizing_at": _unix(batch.finalizing_s),
        "cancelling_at": _unix(batch.cancelling_s),
        **ended,
        "request_counts": {
            "total": batch.total, "completed": batch.completed, "failed": batch.failed,
        },
        "usage": {
            "input_tokens": batch.prompt_tokens,
            "input_tokens_details": {"cached_tokens": batch.cached_tokens},
            "output_tokens": batch.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
            "total_tokens": batch.prompt_tokens + batch.completion_tokens,
        },
        "metadata": batch.metadata,
        "priority": batch.priority,
        "run_at": _unix(batch.run_at_s),
        "retry_of": batch.retry_of,
        "cost_usd": usd(batch.cost),
        "cost_nanos": batch.cost,
        "progress": {
            "in_flight": batch.dispatched - batch.ended,
            "rate": round(batch.rate, 2),
            "estimated_end_at": _unix(batch.done_at_s),
        },
    }  # fmt: skip


def _unix(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _there(front: Front, batch_id: str) -> Batch:
    tenant_id = caller().tenant_id
    found = front.reads.run(lambda c: store.find(c, tenant_id, batch_id))
    if found is None:
        raise NotFound(f"There is no batch {batch_id!r}.", param="batch_id")
    return found


def _unless_readable(files: Files, file_id: str) -> None:
    row = files.find(caller().tenant_id, file_id)
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
    )


def _again(batch: Batch) -> NewBatch:
    """A batch of the lines of an ended one that have not completed. Raises Conflict."""
    if batch.status not in ENDED:
        raise Conflict("The batch has not ended yet; cancel it, or wait for its end.")
    if batch.completed == batch.total:
        raise Conflict("No line of this batch has failed after it was accepted.")
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


class Making:
    """A batch and the job that reads its lines, made in one transaction. `asked`: what that job is
    told beside the batch's id."""

    def __init__(self, front: Front, new: NewBatch, asked: dict[str, Any]) -> None:
        self._front, self._new = front, new
        self._chore = _reading(front, new, asked)

    def work(self, connection: Connection) -> tuple[int, dict[str, Any]]:
        """Makes both. Raises Overloaded."""
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


def _reading(front: Front, new: NewBatch, asked: dict[str, Any]) -> Draft:
    told_it = orjson.dumps({"batch_id": new.id, **asked}).decode()
    chore = chore_draft(
        READ_KIND, told_it, new.tenant_id, key_id=new.key_id, app_id=new.app_id, lane=LANE,
        deadline_s=CHORE_DEADLINE_S, backlog=front.settings.backlog(LANE),
    )  # fmt: skip
    return replace(chore, id=new.chore_id)


def _results(front: Front, batch: Batch, start: int, size: int) -> list[EndedLine]:
    return front.reads.run(lambda c: store.results(c, batch.id, start, size))


def _number(front: Front, batch: Batch, line_id: str) -> int:
    """The number of the line that a result's id names. Raises InvalidRequest."""
    job_id = line_id.replace(ID_PREFIX, "job_", 1)
    found = front.reads.run(lambda c: store.line_of(c, batch.id, job_id))
    if found is None:
        raise InvalidRequest("after must be the last_id of a page.", param="after")
    return found


def _all_results(front: Front, batch: Batch, start: int) -> Iterator[bytes]:
    while found := _results(front, batch, start, PAGE):
        yield b"".join([orjson.dumps(told(line)) + b"\n" for line in found])
        start = found[-1].line


def _events(front: Front, batch: Batch, environ: dict[str, Any]) -> Iterator[bytes]:
    """`progress` whenever something has changed, then one event named after the end, each with the
    whole batch."""
    number, before, silent_since = 0, b"", time.monotonic()
    while True:
        data = orjson.dumps(batch_object(batch))
        ended = batch.status in ENDED
        if data != before:
            number += 1
            yield frame(str(number), batch.status if ended else "progress", data)
            before, silent_since = data, time.monotonic()
        elif time.monotonic() - silent_since >= PING_S:
            yield b": ping\n\n"
            silent_since = time.monotonic()
        if ended:
            return
        gevent.sleep(TICK_S)
        if client_gone(environ):
            return
        found = front.reads.run(_finder(batch))
        batch = found or batch


def _finder(batch: Batch) -> Any:
    return lambda connection: store.find(connection, batch.tenant_id, batch.id)
