"""`/v1/batches`: OpenAI's Batches, run by our own workers."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import orjson
from flask import Blueprint, Response, request

from app.batches import store
from app.batches.lines import ID_PREFIX, told
from app.batches.model import ENDED, Batch, EndedLine
from app.db.connect import Connection
from app.errors import InvalidRequest, NotFound, Unavailable
from app.web.auth import caller
from app.web.batch_making import Again, New
from app.web.batch_object import batch_object
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, parameters, plain_ids
from app.web.posting import posted, read_json
from app.web.schemas.accounts import NothingBody
from app.web.schemas.batches import NewBatchBody, ResultsQuery
from app.web.sse import PING_S, TICK_S, client_gone, frame, stream_response

PAGE = 100
"""Lines in memory at most while all are told, of small ones."""


def batch_routes(front: Front) -> Blueprint:
    """The blueprint of batches."""
    routes = Blueprint("batches", __name__, url_prefix="/v1/batches")
    routes.url_value_preprocessor(plain_ids)

    @routes.post("")
    def create_batch() -> Response:
        making = New(front, read_json(front, NewBatchBody))
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
        making = Again(front, batch)
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
        return json_answer(_page_of_results(front, batch, start, query.limit))

    @routes.get("/<batch_id>/events")
    def follow_batch(batch_id: str) -> Response:
        batch = _there(front, batch_id)
        return stream_response(_events(front, batch, request.environ), {})


def _there(front: Front, batch_id: str) -> Batch:
    tenant_id = caller().tenant_id
    found = front.reads.run(lambda c: store.find(c, tenant_id, batch_id))
    if found is None:
        raise NotFound(f"There is no batch {batch_id!r}.", param="batch_id")
    return found


def _page_of_results(front: Front, batch: Batch, start: int, size: int) -> dict[str, Any]:
    def look(connection: Connection) -> tuple[list[EndedLine], bool]:
        found = store.results(connection, batch.id, start, size)
        more = bool(found) and store.ended_after(connection, batch.id, found[-1].line)
        return found, more

    found, more = front.reads.run(look)
    return {**page([told(line) for line in found], size), "has_more": more}


def _number(front: Front, batch: Batch, line_id: str) -> int:
    """The number of the line that a result's id names. Raises InvalidRequest."""
    job_id = line_id.replace(ID_PREFIX, "job_", 1)
    found = front.reads.run(lambda c: store.line_of(c, batch.id, job_id))
    if found is None:
        raise InvalidRequest("after must be the last_id of a page.", param="after")
    return found


def _all_results(front: Front, batch: Batch, start: int) -> Iterator[bytes]:
    def look(connection: Connection) -> list[EndedLine]:
        return store.results(connection, batch.id, start, PAGE)

    while found := front.reads.run(look):
        for line in found:
            yield orjson.dumps(told(line)) + b"\n"
        start = found[-1].line


def _events(front: Front, batch: Batch, environ: dict[str, Any]) -> Iterator[bytes]:
    """`progress` whenever something has changed, then one event named after the end, each with the
    whole batch."""
    number, silent_since = 0, time.monotonic()
    before: dict[str, Any] | None = None
    while True:
        ended, shown = batch.status in ENDED, batch_object(batch)
        # The other figures of its progress change with time alone.
        now = {**shown, "progress": shown["progress"]["in_flight"]}
        if now != before:
            number += 1
            name = batch.status if ended else "progress"
            yield frame(str(number), name, orjson.dumps(shown))
            before, silent_since = now, time.monotonic()
        elif time.monotonic() - silent_since >= PING_S:
            yield b": ping\n\n"
            silent_since = time.monotonic()
        if ended:
            return
        gevent.sleep(TICK_S)
        if client_gone(environ):
            return
        batch = _now(front, batch)


def _now(front: Front, batch: Batch) -> Batch:
    """The batch as it stands; as it stood, while the database is away."""
    try:
        found = front.reads.run(lambda c: store.find(c, batch.tenant_id, batch.id))
    except Unavailable:
        return batch
    return found or batch
