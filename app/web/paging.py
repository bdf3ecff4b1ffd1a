"""Pages of lists, and what addresses bring: ids and query parameters."""

import re
from typing import Any, TypeVar

import orjson
from flask import Response, request
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest, NotFound
from app.web.problems import invalid

PAGE_MAX = 100
PAGE = 20
Query = TypeVar("Query", bound=BaseModel)
_ID = re.compile(r"[\w.:@-]{1,128}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}")


def limit() -> int:
    """How many entries the client asks for: 1 to 100, by default 20. Raises InvalidRequest."""
    text = request.args.get("limit", str(PAGE))
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= PAGE_MAX:
        raise InvalidRequest(f"limit must be a number from 1 to {PAGE_MAX}", param="limit")
    return int(text)


def after() -> str | None:
    """The id that the page begins after, if one is given. Raises InvalidRequest."""
    text = request.args.get("after")
    if text is not None and _ID.fullmatch(text) is None:
        raise InvalidRequest("after must be an id: the last_id of a page", param="after")
    return text


def after_number() -> int | None:
    """As `after`, for lists whose ids are numbers."""
    text = after()
    if text is not None and _NUMBER.fullmatch(text) is None:
        raise InvalidRequest("after must be a number: the last_id of a page", param="after")
    return None if text is None else int(text)


def page(found: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """The list object of a page of `size` entries, of which one more was looked for."""
    data = found[:size]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > size,
    }


def json_answer(body: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(body), status, mimetype="application/json")


def plain_ids(_: str | None, values: dict[str, Any] | None) -> None:
    """Refuses what stands in a path and can be nobody's id, such as a zero byte, which Postgres
    would refuse with an error; a `url_value_preprocessor`. Raises NotFound."""
    if values and not all(_ID.fullmatch(str(value)) for value in values.values()):
        raise NotFound("There is nothing here by that id.")


def parameters(schema: type[Query]) -> Query:
    """The request's query parameters; one that comes several times is a list. Raises
    InvalidRequest, also for one that the schema does not know."""
    given = {name: texts[0] if len(texts) == 1 else texts for name, texts in request.args.lists()}
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None
