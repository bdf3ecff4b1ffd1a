import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask

from app.main import create_app
from app.settings import Settings
from app.web.guards import GUARDS, nobody
from app.web.openapi.document import document, operation_id, path_of, routes_of
from app.web.openapi.operation import Operation
from app.web.openapi.rooms import ROOMS

Json = dict[str, Any]


@pytest.fixture(scope="module")
def web() -> Flask:
    return create_app(
        Settings(
            database_url="postgresql://nobody@127.0.0.1:1/nothing",
            redis_url="redis://127.0.0.1:1/0",
            ollama_url="",
        )
    )


@pytest.fixture(scope="module")
def told(web: Flask) -> Json:
    return document(web)


def operations(told: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_route_is_described_and_nothing_else_is(web: Flask) -> None:
    """A new route needs an `Operation` in the table of its room."""
    views = {tuple(rule.endpoint.split(".")) for rule in web.url_map.iter_rules()}
    described = {(room, view) for room, told in ROOMS.items() for view in told.operations}
    assert described == views


def test_every_method_of_every_path_is_there(web: Flask, told: Json) -> None:
    served = {(method.lower(), path_of(rule)) for rule, method, *_ in routes_of(web)}
    assert {(method, path) for method, path, _ in operations(told)} == served


def test_the_document_is_openapi_3_1(told: Json) -> None:
    schemathesis.openapi.from_dict(told).validate()
    wrong = copy.deepcopy(told)
    wrong["paths"]["/docs"]["get"]["responses"]["200"].pop("description")
    with pytest.raises(Exception, match="description"):
        schemathesis.openapi.from_dict(wrong).validate()


def test_no_two_operations_have_one_id(told: Json) -> None:
    ids = [operation["operationId"] for *_, operation in operations(told)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", one) for one in ids)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from references(member)


def test_every_reference_leads_somewhere_and_every_shape_is_referred_to(told: Json) -> None:
    found = set(references(told))
    kinds = ("schemas", "responses")
    there = {f"#/components/{kind}/{name}" for kind in kinds for name in told["components"][kind]}
    assert found <= there
    assert {name for name in there - found if "/schemas/" in name} == set()


def test_who_may_call_is_told_as_the_guards_have_it(web: Flask, told: Json) -> None:
    for rule, method, room, _ in routes_of(web):
        operation = told["paths"][path_of(rule)][method.lower()]
        guard = GUARDS[room]
        answers = operation["responses"]
        if guard is nobody:
            assert operation["security"] == []
            continue
        scopes = [guard.scope] if hasattr(guard, "scope") else []
        assert operation["security"] == [{"bearer": scopes}, {"key": scopes}]
        assert "401" in answers
        assert ("403" in answers) == bool(scopes)


def test_parts_of_a_path_are_parameters_of_it(told: Json) -> None:
    for _, path, operation in operations(told):
        named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_a_post_of_a_caller_takes_an_idempotency_key_and_says_what_comes_of_it(
    told: Json,
) -> None:
    for method, path, operation in operations(told):
        names = {parameter["name"] for parameter in operation["parameters"]}
        keyed = method == "post" and path not in ("/v1/sessions", "/chat/{token}/stop")
        assert ("Idempotency-Key" in names) == keyed, path
        assert ({"409", "422"} <= set(operation["responses"])) == keyed, path


def test_every_door_may_answer_with_a_job(told: Json) -> None:
    doors = [o for *_, o in operations(told) if "499" in o["responses"]]
    assert len(doors) >= 4
    for operation in doors:
        shape = operation["responses"]["202"]["content"]["application/json"]["schema"]
        assert shape == {"$ref": "#/components/schemas/Job"}
        links = operation["responses"]["202"]["links"]
        assert links["jobs_get_job"]["parameters"] == {"job_id": "$response.body#/id"}


def test_streams_files_and_pages_are_told_with_their_types(told: Json) -> None:
    def kinds(path: str, method: str = "get") -> set[str]:
        return set(told["paths"][path][method]["responses"]["200"]["content"])

    assert kinds("/v1/chat/completions", "post") == {"application/json", "text/event-stream"}
    assert kinds("/v1/jobs/{job_id}/events") == {"text/event-stream"}
    assert kinds("/v1/usage/history") == {"application/json", "text/csv", "application/x-ndjson"}
    assert kinds("/v1/billing/statement") == {"application/json", "text/csv", "text/html"}


def test_a_body_is_needed_only_where_a_field_of_it_is(told: Json) -> None:
    def needed(path: str) -> bool:
        return bool(told["paths"][path]["post"]["requestBody"]["required"])

    assert needed("/v1/chat/completions")
    assert needed("/v1/keys")
    assert not needed("/v1/keys/{key_id}/rotate")
    assert "requestBody" not in told["paths"]["/v1/jobs/{job_id}/cancel"]["post"]


def test_what_a_change_leaves_out_has_no_default(told: Json) -> None:
    for name, schema in told["components"]["schemas"].items():
        if name.endswith("ChangeBody"):
            assert not any("default" in field for field in schema["properties"].values()), name


def test_a_route_without_a_description_is_named(
    web: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    less: dict[str, Operation] = dict(ROOMS["jobs"].operations)
    del less["get_job"]
    monkeypatch.setattr("app.web.openapi.document.ROOMS", {**ROOMS, "jobs": _Room("Jobs", less)})
    with pytest.raises(KeyError, match="get_job"):
        document(web)


class _Room:
    def __init__(self, title: str, operations: dict[str, Operation]) -> None:
        self.title, self.operations = title, operations


def test_a_door_with_two_paths_has_two_ids(web: Flask) -> None:
    ids = {operation_id(rule) for rule, *_ in routes_of(web) if "/chat/completions" in rule.rule}
    assert ids == {"chat_create_chat_completion", "chat_create_chat_completion_without_v1"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/lunes", "string"), ("/v1/lunes/{lune_id}/documents/{document_id}/passages", "integer")],
)
def test_a_page_ends_with_an_id_of_the_kind_that_its_rows_have(
    told: Json, path: str, kind: str
) -> None:
    answer = told["paths"][path]["get"]["responses"]["200"]
    page = answer["content"]["application/json"]["schema"]
    row = told["components"]["schemas"][page["properties"]["data"]["items"]["$ref"].split("/")[-1]]
    assert row["properties"]["id"]["type"] == kind
    assert page["properties"]["last_id"]["type"] == [kind, "null"]
