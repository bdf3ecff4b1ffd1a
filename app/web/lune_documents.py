"""`/v1/lunes/{id}/documents`: what a lune knows. Documents are taken in by jobs."""

from typing import Any

from flask import Blueprint, Response

from app.db.connect import Connection
from app.errors import Conflict, NotFound
from app.lunes import store
from app.lunes.erasing import store as erasing
from app.lunes.erasing.steps import erase_document
from app.lunes.intake.fetch import Fetcher
from app.lunes.intake.model import Wanted
from app.lunes.model import DELETE_KIND, INGEST_KIND, Document, Lune, Passage
from app.outbound import Resolver, resolve
from app.web.accounts import unix
from app.web.auth import caller
from app.web.chores import run_chore
from app.web.front import Front
from app.web.lune_intake import read_document, taken
from app.web.lunes import AT_ONCE, DELETE_S, there
from app.web.paging import after, after_number, json_answer, limit, page, parameters, plain_ids
from app.web.posting import changed, read_json
from app.web.schemas.accounts import NothingBody
from app.web.schemas.lunes import DocumentsQuery

INGEST_S = 43_200.0
"""From admission, so with all the time that a thousand documents before it take: long ones take an
hour."""


def lune_document_routes(front: Front, resolver: Resolver = resolve) -> Blueprint:
    """The blueprint of the documents of lunes."""
    routes = Blueprint("lune_documents", __name__, url_prefix="/v1/lunes/<lune_id>/documents")
    routes.url_value_preprocessor(plain_ids)
    fetcher = Fetcher(front.settings, resolver=resolver)

    @routes.get("")
    def list_documents(lune_id: str) -> Response:
        tenant_id, start, size = caller().tenant_id, after(), limit()
        asked = parameters(DocumentsQuery)

        def read(connection: Connection) -> list[Document]:
            lune = there(connection, tenant_id, lune_id)
            return store.document_page(connection, lune, asked.status, start, size + 1)

        return json_answer(page([document_object(d) for d in front.reads.run(read)], size))

    @routes.post("")
    def add_document(lune_id: str) -> Response:
        tenant_id = caller().tenant_id
        lune = front.reads.run(lambda c: there(c, tenant_id, lune_id))
        wanted, body = read_document(front, fetcher)
        with taken(front, lune, wanted) as waits:
            return waits.kept(run_chore(
                front, INGEST_KIND, {"document": waits.document_id},
                f"/lunes/{lune.id}/documents", body, deadline_s=INGEST_S, head=waits.head,
                job_id=waits.job_id,
            ))  # fmt: skip

    _one_document(front, routes)
    return routes


def _one_document(front: Front, routes: Blueprint) -> None:
    @routes.get("/<document_id>")
    def get_document(lune_id: str, document_id: str) -> Response:
        _, document = _find(front, lune_id, document_id)
        return json_answer(document_object(document))

    @routes.post("/<document_id>/refresh")
    def refresh_document(lune_id: str, document_id: str) -> Response:
        lune, document = _find(front, lune_id, document_id)
        read_json(front, NothingBody)
        if document.origin == "sent":
            raise Conflict("The document was not fetched from a URL: send it again instead.")
        with taken(front, lune, Wanted("fetched", b""), document) as waits:
            return waits.kept(run_chore(
                front, INGEST_KIND, {"document": document.id},
                f"/lunes/{lune.id}/documents/{document.id}/refresh", b"", deadline_s=INGEST_S,
                head=waits.head, job_id=waits.job_id,
            ))  # fmt: skip

    @routes.delete("/<document_id>")
    def delete_document(lune_id: str, document_id: str) -> Response:
        lune, document = _find(front, lune_id, document_id)

        def work(connection: Connection) -> bool:
            small = erasing.passages_of(connection, document.id) <= AT_ONCE
            if small:
                if not erasing.mark_document(connection, document.id):
                    raise _unknown(document_id)
                erase_document(connection, document.id)
            return small

        if changed(front, work):
            return json_answer({"id": document.id, "object": "lune.document", "deleted": True})
        asked = {"lune": lune.seq, "document": document.id, "id": document.id}
        head = {"document_id": document.id}
        answer = run_chore(
            front, DELETE_KIND, asked, f"/lunes/{lune.id}/documents/{document.id}", b"",
            deadline_s=DELETE_S, head=lambda _: head,
        )  # fmt: skip
        # Once its job is admitted, so that one that is refused leaves it as it was.
        changed(front, lambda c: erasing.mark_document(c, document.id))
        return answer

    @routes.get("/<document_id>/passages")
    def list_passages(lune_id: str, document_id: str) -> Response:
        start, size = after_number(), limit()
        _, document = _find(front, lune_id, document_id)
        found = front.reads.run(lambda c: store.passage_page(c, document.id, start, size + 1))
        return json_answer(page([passage_object(one) for one in found], size))


def _find(front: Front, lune_id: str, document_id: str) -> tuple[Lune, Document]:
    tenant_id = caller().tenant_id

    def read(connection: Connection) -> tuple[Lune, Document | None]:
        lune = there(connection, tenant_id, lune_id)
        return lune, store.find_document(connection, tenant_id, document_id, lune.id)

    lune, document = front.reads.run(read)
    if document is None:
        raise _unknown(document_id)
    return lune, document


def _unknown(document_id: str) -> NotFound:
    return NotFound(f"There is no document {document_id!r} in this lune.", param="document_id")


def document_object(document: Document) -> dict[str, Any]:
    """A document as its tenant is told of it; times are unix seconds."""
    return {
        "id": document.id,
        "object": "lune.document",
        "lune_id": document.lune_id,
        "origin": document.origin,
        "url": document.url,
        "external_id": document.external_id,
        "title": document.title,
        "media_type": document.media_type,
        "metadata": document.metadata,
        "status": document.state,
        "error": document.error,
        "job_id": document.job_id,
        "bytes": document.bytes,
        "passages": document.passages,
        "tokens": document.tokens,
        "pages": document.pages,
        "created_at": unix(document.created_at),
        "updated_at": unix(document.updated_at),
    }


def passage_object(passage: Passage) -> dict[str, Any]:
    """A passage of a document; `id` is its number there."""
    return {
        "id": passage.ordinal,
        "object": "lune.passage",
        "ordinal": passage.ordinal,
        "heading": passage.heading,
        "text": passage.content,
        "start": passage.start_at,
        "end": passage.end_at,
        "page": passage.page,
        "tokens": passage.tokens,
    }
