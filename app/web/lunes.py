"""`/v1/lunes`: a tenant's knowledge bases."""

from typing import Any

from flask import Blueprint, Response

from app.db.connect import Connection
from app.errors import NotFound
from app.lunes import store
from app.lunes.erasing import store as erasing
from app.lunes.erasing.steps import erase_lune
from app.lunes.model import DELETE_KIND, STATES, Lune
from app.web.accounts import unix
from app.web.auth import caller
from app.web.chores import run_chore
from app.web.front import Front
from app.web.paging import after, json_answer, limit, page, plain_ids
from app.web.posting import changed, posted, read_json
from app.web.schemas.lunes import LuneChangeBody, NewLuneBody

DELETE_S = 3600.0
AT_ONCE = 500
"""Up to so many passages are deleted while the client waits; more are by a job."""

DOCUMENTS_AT_ONCE = 50


def lune_routes(front: Front) -> Blueprint:
    """The blueprint of lunes."""
    routes = Blueprint("lunes", __name__, url_prefix="/v1/lunes")
    routes.url_value_preprocessor(plain_ids)

    @routes.get("")
    def list_lunes() -> Response:
        tenant_id, start, size = caller().tenant_id, after(), limit()
        found = front.reads.run(lambda c: store.page(c, tenant_id, start, size + 1))
        return json_answer(page([lune_object(one) for one in found], size))

    @routes.post("")
    def create_lune() -> Response:
        wanted = read_json(front, NewLuneBody)
        tenant_id = caller().tenant_id

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            fusion = wanted.fusion.model_dump() if wanted.fusion else None
            made = store.create(
                connection,
                tenant_id,
                wanted.name,
                wanted.description,
                wanted.metadata or {},
                fusion,
            )
            return 201, lune_object(made)

        return posted(front, work)

    _one_lune(front, routes)
    return routes


def _one_lune(front: Front, routes: Blueprint) -> None:
    @routes.get("/<lune_id>")
    def get_lune(lune_id: str) -> Response:
        tenant_id = caller().tenant_id
        return json_answer(lune_object(front.reads.run(lambda c: there(c, tenant_id, lune_id))))

    @routes.post("/<lune_id>")
    def change_lune(lune_id: str) -> Response:
        tenant_id = caller().tenant_id
        # Before its body is read: what is not there cannot be asked for wrongly.
        front.reads.run(lambda c: there(c, tenant_id, lune_id))
        changes = read_json(front, LuneChangeBody).given()

        def work(connection: Connection) -> tuple[int, dict[str, Any]]:
            lune = there(connection, tenant_id, lune_id)
            now = store.change(connection, tenant_id, lune, changes)
            return 200, lune_object(now or there(connection, tenant_id, lune_id))

        return posted(front, work)

    @routes.delete("/<lune_id>")
    def delete_lune(lune_id: str) -> Response:
        tenant_id = caller().tenant_id

        def work(connection: Connection) -> tuple[Lune, bool]:
            lune = there(connection, tenant_id, lune_id)
            small = erasing.is_small(connection, lune.seq, DOCUMENTS_AT_ONCE, AT_ONCE)
            if small:
                erasing.mark_lune(connection, lune.seq)
                erase_lune(connection, lune.seq)
            return lune, small

        lune, gone = changed(front, work)
        if gone:
            return json_answer({"id": lune.id, "object": "lune", "deleted": True})
        asked = {"lune": lune.seq, "document": None, "id": lune.id}
        head = {"lune_id": lune.id}
        answer = run_chore(
            front, DELETE_KIND, asked, f"/lunes/{lune.id}", b"", deadline_s=DELETE_S,
            head=lambda _: head,
        )  # fmt: skip
        # Once its job is admitted, so that one that is refused leaves it as it was.
        changed(front, lambda c: erasing.mark_lune(c, lune.seq))
        return answer


def there(connection: Connection, tenant_id: str, lune: str) -> Lune:
    """The tenant's lune of an id or a name. Raises NotFound."""
    found = store.find(connection, tenant_id, lune)
    if found is None:
        raise NotFound(f"There is no lune {lune!r}.", param="lune_id")
    return found


def lune_object(lune: Lune) -> dict[str, Any]:
    """A lune as its tenant is told of it; times are unix seconds."""
    counted = {state: lune.documents.get(state, 0) for state in STATES}
    return {
        "id": lune.id,
        "object": "lune",
        "name": lune.name,
        "description": lune.description,
        "metadata": lune.metadata,
        "fusion": lune.fusion,
        "documents": {**counted, "total": sum(counted.values())},
        "passages": lune.passages,
        "tokens": lune.tokens,
        "bytes": lune.bytes,
        "created_at": unix(lune.created_at),
        "updated_at": unix(lune.updated_at),
    }
