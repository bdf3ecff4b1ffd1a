"""`POST /v1/lunes/search` and `/v1/lunes/{id}/search`: the passages that answer a question best."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response

from app.embedding.weights import ModelUnfit
from app.errors import Unavailable
from app.lunes.finding.model import Found, Shelf, fusion_of
from app.lunes.finding.service import Finder
from app.web.auth import caller
from app.web.front import Front
from app.web.limits import take_request
from app.web.paging import plain_ids
from app.web.posting import answered, read_json
from app.web.schemas.lune_search import LuneSearchBody, LunesSearchBody

DIGITS = 6


def lune_search_routes(front: Front) -> Blueprint:
    """The blueprint of searches in lunes."""
    routes = Blueprint("lune_search", __name__, url_prefix="/v1/lunes")
    routes.url_value_preprocessor(plain_ids)
    finder = Finder(front.reads, front.settings)

    @routes.post("/<lune_id>/search")
    def search_lune(lune_id: str) -> Response:
        # Before its body is read: what is not there cannot be asked for wrongly.
        shelves = finder.shelves(caller().tenant_id, [lune_id], "lune_id")
        asked = read_json(front, LuneSearchBody)
        return answered(front, lambda: _found(front, finder, shelves, asked))

    @routes.post("/search")
    def search_lunes() -> Response:
        asked = read_json(front, LunesSearchBody)
        shelves = finder.shelves(caller().tenant_id, asked.lunes)
        return answered(front, lambda: _found(front, finder, shelves, asked))

    return routes


def _found(
    front: Front, finder: Finder, shelves: Sequence[Shelf], asked: LuneSearchBody
) -> tuple[int, dict[str, Any]]:
    take_request(front)
    tenant_id = caller().tenant_id
    fusion = None if asked.fusion is None else fusion_of(asked.fusion.model_dump())
    try:
        found = finder.find(tenant_id, shelves, asked.query, asked.limit, fusion, asked.metadata)
    except (ModelUnfit, OSError) as error:
        raise Unavailable(f"The model of embeddings cannot be loaded: {error}.") from error
    return 200, {"object": "list", "data": [_object(one) for one in found]}


def _object(one: Found) -> dict[str, Any]:
    return {
        "object": "lune.passage",
        "lune_id": one.lune_id,
        "document_id": one.document_id,
        "ordinal": one.ordinal,
        "title": one.title,
        "heading": one.heading,
        "text": one.content,
        "url": one.url,
        "page": one.page,
        "start": one.start_at,
        "end": one.end_at,
        "metadata": one.metadata,
        "score": round(one.score, DIGITS),
        "parts": {
            "meaning": round(one.parts.meaning, DIGITS),
            "words": round(one.parts.words, DIGITS),
        },
    }
