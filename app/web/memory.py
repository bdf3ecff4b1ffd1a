"""`/v1/memory`: what a tenant has remembered of its users and sessions.

Storing and forgetting are jobs; searching, listing and deleting one memory are done at once.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.db.connect import Connection
from app.embedding.weights import ModelUnfit
from app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from app.memory.model import Recalled, Scope
from app.memory.service import Memories
from app.memory.shelf import store
from app.memory.shelf.model import (
    FORGET_KIND,
    STORE_KIND,
    Kept,
    Which,
    memory_object,
    stored_id,
)
from app.web.auth import caller
from app.web.body import read_request
from app.web.chores import run_chore
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, parameters, plain_ids
from app.web.posting import changed, posted
from app.web.schemas.memory import (
    DeleteQuery,
    ExportQuery,
    ForgetBody,
    MemoriesQuery,
    SearchQuery,
    StoreBody,
)

WINDOW = 500
"""Memories that an export reads at once, and so the most of them that are held for it."""

FORGET_S = 3600.0
JSON_LINES = "application/x-ndjson"


def memory_routes(front: Front) -> Blueprint:
    """The blueprint of memories."""
    routes = Blueprint("memory", __name__, url_prefix="/v1/memory")
    routes.url_value_preprocessor(plain_ids)
    memories = Memories(front.reads, front.settings)

    @routes.post("/store")
    def store_memory() -> Response:
        asked, body = read_request(front, StoreBody)
        wanted = _wanted(asked)
        many = asked.memories is not None

        def head(job_id: str) -> dict[str, Any]:
            if not many:
                return {"memory_id": stored_id(job_id)}
            return {"memory_ids": [stored_id(job_id, place) for place in range(len(wanted))]}

        users = {one.get("user") for one in wanted}
        # So that a deletion of the user's content finds the job.
        user = users.pop() if len(users) == 1 else None
        told = {"memories": wanted, "many": many, "user": user}
        return run_chore(front, STORE_KIND, told, "/memory/store", body, head=head)

    @routes.get("/search")
    def search_memories() -> Response:
        asked = parameters(SearchQuery)
        scope = Scope(caller().tenant_id, asked.user, asked.session_id)
        types = None if asked.memory_type is None else [asked.memory_type]
        try:
            found = memories.recall(scope, asked.query, asked.limit, types=types)
        except (ModelUnfit, OSError) as error:
            raise Unavailable(f"The model of memories cannot be loaded: {error}.") from error
        told = [_found_object(one) for one in found if one.score >= asked.min_score]
        return json_answer({"object": "list", "data": told})

    @routes.get("")
    def list_memories() -> Response:
        asked, size, before = parameters(MemoriesQuery), limit(), after()
        which = Which(
            caller().tenant_id, asked.user, asked.session_id, asked.memory_type, asked.put_away
        )
        found = front.reads.run(lambda c: store.page(c, which, before, size + 1))
        return json_answer(page([_object(one) for one in found], size))

    @routes.get("/export")
    def export_memories() -> Response:
        asked = parameters(ExportQuery)
        which = Which(caller().tenant_id, asked.user, asked.session_id)
        windows = _windows(front, which)
        # The first is read before the answer begins, so that a failure is told.
        lines = _lines(chain([next(windows, [])], windows))
        answer = Response(lines, mimetype=JSON_LINES, direct_passthrough=True)
        answer.headers["Content-Disposition"] = 'attachment; filename="memories.jsonl"'
        return answer

    _one_memory(front, routes)
    _forgetting(front, routes)
    return routes


def _forgetting(front: Front, routes: Blueprint) -> None:
    @routes.post("/forget")
    def forget_memories() -> Response:
        asked, body = read_request(front, ForgetBody)
        told = _meant(asked)
        return run_chore(front, FORGET_KIND, told, "/memory/forget", body, deadline_s=FORGET_S)

    @routes.delete("")
    def delete_memories() -> Response:
        told, query = _meant(parameters(DeleteQuery)), request.query_string
        return run_chore(front, FORGET_KIND, told, "/memory", query, deadline_s=FORGET_S)


def _one_memory(front: Front, routes: Blueprint) -> None:
    @routes.get("/<memory_id>")
    def get_memory(memory_id: str) -> Response:
        tenant_id = caller().tenant_id
        return json_answer(_object(front.reads.run(lambda c: _find(c, tenant_id, memory_id))))

    @routes.delete("/<memory_id>")
    def delete_memory(memory_id: str) -> Response:
        tenant_id = caller().tenant_id

        def work(connection: Connection) -> None:
            _find(connection, tenant_id, memory_id)
            store.delete(connection, tenant_id, [memory_id])

        changed(front, work)
        return json_answer({"id": memory_id, "object": "memory", "deleted": True})

    @routes.post("/<memory_id>/restore")
    def restore_memory(memory_id: str) -> Response:
        tenant_id = caller().tenant_id

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            _find(connection, tenant_id, memory_id)
            if not store.restore(connection, tenant_id, memory_id):
                raise Conflict("The same has been remembered since; this one is not needed.")
            return 200, _object(_find(connection, tenant_id, memory_id))

        return posted(front, work)


def _meant(asked: ForgetBody | DeleteQuery) -> dict[str, Any]:
    """Whose memories are to be forgotten, as the chore reads it. Raises InvalidRequest."""
    named = asked.user is not None or asked.session_id is not None
    if named == bool(asked.all):
        raise InvalidRequest(
            "Give user, session_id or both; or all as true, and nothing else.", param="user"
        )
    return {"user": asked.user, "session_id": asked.session_id}


def _wanted(asked: StoreBody) -> list[dict[str, Any]]:
    """The memories to be stored, as the chore reads them. Raises InvalidRequest for none, and for
    one beside a list."""
    beside = asked.model_fields_set - {"memories"}
    if asked.memories is None:
        if "content" not in beside:
            raise InvalidRequest("content is missing: what is to be remembered.", param="content")
        return [asked.model_dump(exclude_none=True)]
    if beside:
        field = min(beside)
        raise InvalidRequest(
            f"{field} belongs into each of memories, not beside them.", param=field
        )
    return [one.model_dump(exclude_none=True) for one in asked.memories]


def _find(connection: Connection, tenant_id: str, memory_id: str) -> Kept:
    found = store.find(connection, tenant_id, memory_id)
    if found is None:
        raise NotFound(f"There is no memory {memory_id!r}.", param="memory_id")
    return found


def _object(kept: Kept) -> dict[str, Any]:
    return memory_object(kept.memory, kept.summary_id)


def _found_object(found: Recalled) -> dict[str, Any]:
    return {
        **memory_object(found.memory),
        "score": round(found.score, 6),
        "parts": {name: round(part, 6) for name, part in found.parts.items()},
    }


def _windows(front: Front, which: Which) -> Iterator[list[Kept]]:
    before: str | None = None
    while True:
        found = front.reads.run(partial(store.page, which=which, before=before, limit=WINDOW))
        if found:
            yield found
        if len(found) < WINDOW:
            return
        before = found[-1].memory.id


def _lines(windows: Iterator[list[Kept]]) -> Iterator[bytes]:
    for found in windows:
        yield b"".join([orjson.dumps(_object(one)) + b"\n" for one in found])
