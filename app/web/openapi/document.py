"""The OpenAPI 3.1 description of an application (https://spec.openapis.org/oas/v3.1.1).

Made from its URL map, its guards, the tables of rooms and the pydantic schemas, so that only what
no code says is written by hand.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import BaseModel
from werkzeug.routing import Rule

from app import errors
from app.web.auth import Needs
from app.web.guards import GUARDS, nobody
from app.web.openapi.operation import Operation
from app.web.openapi.rooms import ROOMS
from app.web.openapi.schemas import Schemas, error_schema

ALWAYS = (500, 503)
WITH_BODY = (400, 408, 413, 415)
WITH_KEY = (409, 422)
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "sent twice, done once: the same answer for 24 hours",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
ID = {"type": "string", "pattern": r"^[\w.:@-]{1,128}$"}
NAME = {"type": "string", "minLength": 1}
TOLD_AGAIN = {
    "Idempotent-Replayed": {"description": "true: it was done before", "schema": NAME},
}
JOB = {
    "x-job-id": {"description": "the job that the request became", "schema": ID},
    "x-request-id": {"description": "the request", "schema": ID},
    **TOLD_AGAIN,
}
WAIT = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
TOLD_WITH: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": NAME}},
    429: WAIT,
    503: WAIT,
}
"""Headers of errors, by status."""

PARTLESS = ("operations", "public", "description", "pictures", "assets", "console")
"""Rooms that need neither database nor queue."""

ROOTED = (*PARTLESS, "web_chat_page")
"""Rooms whose paths never begin with `/v1`."""

Json = dict[str, Any]


def routes_of(app: Flask) -> Iterator[tuple[Rule, str, str, Operation]]:
    """Each route and method, with its room and its description. Raises KeyError for one that has
    none."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        room, _, view = rule.endpoint.partition(".")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, room, ROOMS[room].operations[view]


def document(app: Flask) -> Json:
    """The description of `app`."""
    routes = list(routes_of(app))
    schemas = Schemas([operation for *_, operation in routes])
    paths: dict[str, Json] = {}
    for rule, method, room, operation in routes:
        told = _operation(rule, method, room, operation, schemas)
        paths.setdefault(path_of(rule), {})[method.lower()] = told
    _link(routes, paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Moonpool",
            "version": version("moonpool"),
            "description": "Inference whose every request is a durable job.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": title} for title in dict.fromkeys(r.title for r in ROOMS.values())],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Error": error_schema()},
            "responses": {str(status): _refusal(status, None) for status in sorted(_reasons())},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def path_of(rule: Rule) -> str:
    """A rule's path as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule.rule))


def operation_id(rule: Rule) -> str:
    """The same for no two routes: a door that answers without `/v1` too has two."""
    room = rule.endpoint.partition(".")[0]
    bare = room not in ROOTED and not rule.rule.startswith("/v1/")
    return str(rule.endpoint).replace(".", "_") + ("_without_v1" if bare else "")


def _operation(rule: Rule, method: str, room: str, operation: Operation, schemas: Schemas) -> Json:
    told: Json = {
        "operationId": operation_id(rule),
        "summary": operation.about,
        "tags": [ROOMS[room].title],
        "security": _security(room),
        "parameters": [*_parameters(rule, method, room, operation, schemas)],
    }
    if operation.takes is not None:
        told["requestBody"] = schemas.body(operation.takes)
    told["responses"] = _responses(rule, method, room, operation, schemas)
    return told


def _security(room: str) -> list[Json]:
    guard = GUARDS[room]
    if guard is nobody:
        return []
    scopes = [guard.scope] if isinstance(guard, Needs) else []
    return [{"bearer": scopes}, {"key": scopes}]


def _parameters(
    rule: Rule, method: str, room: str, operation: Operation, schemas: Schemas
) -> Iterator[Json]:
    for name in re.findall(r"<(?:\w+:)?(\w+)>", rule.rule):
        schema = ID if name.endswith("_id") and name != "model_id" else NAME
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query is not None:
        yield from schemas.query(operation.query)
    for header in operation.headers:
        yield {
            "name": header.name, "in": "header", "description": header.about,
            "schema": dict(header.schema),
        }  # fmt: skip
    if method == "POST" and GUARDS[room] is not nobody:
        yield IDEMPOTENCY_KEY


def _responses(rule: Rule, method: str, room: str, operation: Operation, schemas: Schemas) -> Json:
    told = {str(operation.status): _answer(operation, schemas)}
    if 499 in operation.refuses:
        told[str(operation.status)]["headers"] = JOB
    elif method == "POST" and GUARDS[room] is not nobody:
        told[str(operation.status)]["headers"] = TOLD_AGAIN
    for status, gives in operation.also.items():
        told[str(status)] = _plain(status, gives, schemas)
    for status in sorted(_refused(rule, method, room, operation)):
        shown = {"$ref": f"#/components/responses/{status}"}
        if operation.errors_as is not None:
            shown = _refusal(status, schemas.of(operation.errors_as))
        told.setdefault(str(status), shown)
    return told


def _answer(operation: Operation, schemas: Schemas) -> Json:
    content: Json = {}
    if operation.gives is not None:
        schema = schemas.of(operation.gives)
        content["application/json"] = {
            "schema": _page(schema, operation.gives) if operation.pages else schema
        }
    for kind, shape in operation.forms.items():
        content[kind] = {"schema": schemas.of(shape)}
    return {"description": operation.about, "content": content}


def _plain(status: int, gives: Any, schemas: Schemas) -> Json:
    about = {202: "The job that it became", 304: "What is known already"}
    told: Json = {"description": about.get(status, "As it is now")}
    if gives is not None:
        told["content"] = {"application/json": {"schema": schemas.of(gives)}}
    return told


def _page(of: Json, gives: Any) -> Json:
    numbered = gives.model_fields["id"].annotation is int
    last = {"type": ["integer" if numbered else "string", "null"]}
    return {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": of},
            "first_id": last,
            "last_id": last,
            "has_more": {"type": "boolean"},
        },
    }


def _refused(rule: Rule, method: str, room: str, operation: Operation) -> set[int]:
    guard = GUARDS[room]
    found = {500, *operation.refuses}
    if room not in PARTLESS:
        found.update(ALWAYS)
    if guard is not nobody:
        found.add(401)
        if method == "POST":
            found.update((400, *WITH_KEY))
    if isinstance(guard, Needs):
        found.add(403)
    if rule.arguments:
        found.add(404)
    if operation.query is not None or operation.headers:
        found.add(400)
    if method == "POST":
        found.update(WITH_BODY)
    return found


def _reasons() -> Mapping[int, list[str]]:
    """Why each status is answered, as `app.errors` says it."""
    told: dict[int, list[str]] = {500: ["an error of ours, which is logged"]}
    for status, why in re.findall(r"^[├└]── \w+ +(\d{3})  (.+)$", errors.__doc__ or "", re.M):
        told.setdefault(int(status), []).append(why)
    return told


def _refusal(status: int, schema: Json | None) -> Json:
    shape = schema or {"$ref": "#/components/schemas/Error"}
    told: Json = {
        "description": "; ".join(_reasons()[status]),
        "content": {"application/json": {"schema": shape}},
    }
    return {**told, "headers": TOLD_WITH[status]} if status in TOLD_WITH else told


def _link(routes: list[tuple[Rule, str, str, Operation]], paths: Mapping[str, Json]) -> None:
    """Says of what is made where its id leads to."""
    for rule, method, room, operation in routes:
        if method not in ("POST", "DELETE"):
            continue
        made = {operation.status: operation.gives} if operation.status in (201, 202) else {}
        for status, gives in {**made, **operation.also}.items():
            if not (isinstance(gives, type) and issubclass(gives, BaseModel)):
                continue
            links = {
                operation_id(other): {
                    "operationId": operation_id(other),
                    "parameters": {f"{gives.__name__.lower()}_id": "$response.body#/id"},
                }
                for other, _, near, _ in routes
                if other.arguments == {f"{gives.__name__.lower()}_id"}
                if near.partition("_")[0] == ("jobs" if status == 202 else room).partition("_")[0]
            }
            if links:
                paths[path_of(rule)][method.lower()]["responses"][str(status)]["links"] = links
