"""A value that the simulator makes of a schema is one that the schema allows."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import ProviderError
from workers.providers.builtin.sim_findings import Findings
from workers.providers.builtin.sim_schema import VALUES_MAX, instance

FIELD = "response_format.json_schema.schema"
TEXT = 'Send 3 of "blue moon" to Ada Lovelace on 2026-03-04, in red, at 2.5 or -7, not later.'


def made(schema: Any, text: str = "") -> Any:
    """The value, after the way through JSON that it takes to a client."""
    return json.loads(json.dumps(instance(schema, Findings(text), FIELD), allow_nan=False))


def valid(schema: Any, text: str = "") -> Any:
    value = made(schema, text)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)
    return value


def refused(schema: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        made(schema)
    assert (caught.value.kind, caught.value.status, caught.value.param) == ("invalid", 400, FIELD)
    return caught.value


def bounds(kind: str, least: str, most: str) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of a kind with two bounds, the lower one first."""
    sizes = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted)
    return sizes.map(lambda pair: {"type": kind, least: pair[0], most: pair[1]})


NUMBERS = st.tuples(
    st.sampled_from(("integer", "number")), st.integers(-50, 50), st.integers(2, 90), st.booleans()
).map(
    lambda it: {
        "type": it[0],
        "exclusiveMinimum" if it[3] else "minimum": it[1],
        "maximum": it[1] + it[2],
    }
)
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.sampled_from(("date", "date-time", "email", "uuid", "ipv4")).map(
        lambda form: {"type": "string", "format": form}
    ),
    st.lists(st.sampled_from(["red", "green", 1, None]), min_size=1, unique=True).map(
        lambda members: {"enum": members}
    ),
    st.integers().map(lambda value: {"const": value}),
    NUMBERS,
    bounds("string", "minLength", "maxLength"),
)


def nested(part: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects, arrays and choices of `part`."""
    names = st.sampled_from(("name", "count", "colour", "when"))
    objects = st.tuples(st.dictionaries(names, part), st.sets(names), st.booleans()).map(
        lambda it: {
            "type": "object",
            "properties": it[0],
            "required": sorted(it[1] & it[0].keys() if it[2] else it[1]),
            **({"additionalProperties": False} if it[2] else {}),
        }
    )
    arrays = st.tuples(part, st.integers(0, 3), st.integers(0, 3)).map(
        lambda it: {
            "type": "array",
            "items": it[0],
            "minItems": it[1],
            "maxItems": it[1] + it[2],
        }
    )
    choices = st.lists(part, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    return st.one_of(objects, arrays, choices)


@given(st.recursive(LEAVES, nested, max_leaves=12), st.sampled_from(("", TEXT)))
def test_a_value_is_allowed_by_its_schema(schema: dict[str, Any], text: str) -> None:
    valid(schema, text)


def test_references_are_followed_and_recursion_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "required": ["name", "next", "kids"],
        "additionalProperties": False,
    }
    value = valid({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}, "the node 'root'")
    assert value == {"name": "root", "next": None, "kids": []}
    assert valid({**node, "$defs": {"Node": node}})["next"] == value | {"name": "name"}


def test_conjunctions_are_one_schema() -> None:
    schema = {
        "$defs": {"Named": {"properties": {"name": {"type": "string", "minLength": 3}}}},
        "allOf": [
            {"$ref": "#/$defs/Named"},
            {"$ref": "#/$defs/Named"},
            {"properties": {"name": {"minLength": 6}, "age": {"type": "number"}}},
            {"required": ["name"]},
            True,
        ],
        "required": ["age"],
        "properties": {"age": {"type": "integer", "minimum": 7}},
    }
    assert valid(schema) == {"name": "namexx", "age": 7}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "multipleOf": 7, "minimum": 1}, 7),
        ({"type": "integer", "multipleOf": 0.5, "exclusiveMinimum": 3}, 4),
        ({"type": "number", "multipleOf": 0.25, "minimum": 0.3}, 0.5),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.5}, 1.25),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "minimum": 1e300}, 1e300),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False}, [1, 2]),
        ({"type": "array", "minItems": 3, "items": {"type": "boolean"}}, [True, False, True]),
        ({"type": "object", "minProperties": 2}, {"key1": "key1", "key2": "key2"}),
        ({"oneOf": [{"const": "a"}, {"const": "b"}]}, "a"),
        ({"type": ["null", "integer"]}, 0),
        ({"type": ["string", "null"]}, "schema"),
        ({}, "schema"),
        (True, "schema"),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"const": 2}}, "required": ["a"]},
         {"a": 2}),
    ],
)  # fmt: skip
def test_the_least_value_is_made(schema: Any, value: Any) -> None:
    if value == [True, False, True]:
        schema, value = {**schema, "minItems": 2, "uniqueItems": True}, [True, False]
    assert valid(schema) == value


def test_items_that_must_differ_do() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "integer", "maximum": 5, "minimum": -2},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date"},
        {"enum": ["red", "green", "blue", "white"]},
        {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    ]
    for part in parts:
        schema = {"type": "array", "items": part, "minItems": 4, "uniqueItems": True}
        assert len(valid(schema, TEXT)) >= 4


def test_values_of_the_text_are_put_where_they_fit() -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["green", "red"]},
            "count": {"type": "integer", "minimum": 0},
            "item": {"type": "string"},
            "person": {"type": "string"},
            "day": {"type": "string", "format": "date"},
            "rates": {"type": "array", "items": {"type": "number"}},
            "later": {"type": "boolean"},
            "shade": {"type": "string", "enum": ["light", "dark"]},
        },
        "required": ["count", "item", "person", "rates", "later"],
    }
    assert valid(schema, TEXT) == {
        "colour": "red",
        "count": 3,
        "item": "blue moon",
        "person": "Ada Lovelace",
        "day": "2026-03-04",
        "rates": [2.5, -7],
        "later": False,
    }


def test_what_is_not_required_is_there_if_the_text_has_something_for_it() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "owner": item,
            "total": {"type": ["integer", "null"]},
            "rate": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
    }
    assert valid(schema) == {}
    assert valid(schema, 'The "lamp" and no more') == {"items": [{"name": "lamp"}]}
    assert valid(schema, "4 at 2.5") == {"total": 4, "rate": 2.5}


def test_names_of_values_are_no_values() -> None:
    told = '{"assistant": "writer", "degrees": 21}'
    schema = {"properties": {"who": {"type": "string"}}, "required": ["who"]}
    assert valid(schema, told) == {"who": "writer"}


def test_a_text_that_does_not_fit_is_not_put_in() -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "maxLength": 4}},
              "required": ["code"]}  # fmt: skip
    assert valid(schema, "the code 'too long' and 'fits'") == {"code": "fits"}
    patterned = {"type": "string", "pattern": "^[a-z]{2}$"}
    assert valid(patterned, "the code 'QQ'") == "aa"


@pytest.mark.parametrize(
    "schema",
    [
        False,
        [],
        {"type": "strange"},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "minLength": "3"},
        {"type": "string", "minLength": 10**9, "maxLength": 10**10},
        {"type": "string", "pattern": "(?=x)y"},
        {"type": "string", "pattern": "(((("},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "minimum": "3"},
        {"type": "number", "multipleOf": 0},
        {"type": "array", "minItems": 2, "maxItems": 1},
        {"type": "array", "minItems": 10**9, "maxItems": 10**10},
        {"type": "object", "minProperties": 10**9, "maxProperties": 10**10},
        {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["a", "b"], "maxProperties": 1},
        {"type": "object", "required": 3},
        {"type": "object", "required": ["a"], "properties": [1]},
        {"enum": []},
        {"anyOf": []},
        {"not": {}},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"$ref": 3},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(schema: Any) -> None:
    refused(schema)


def test_a_schema_that_doubles_at_each_reference_is_refused_soon() -> None:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for depth in range(1, 40):
        both = {"$ref": f"#/$defs/d{depth - 1}"}
        defs[f"d{depth}"] = {
            "type": "object", "properties": {"a": both, "b": both}, "required": ["a", "b"],
        }  # fmt: skip
    assert str(VALUES_MAX) in refused({"$defs": defs, "$ref": "#/$defs/d39"}).message
    for depth in range(1, 40):
        defs[f"d{depth}"] = {"allOf": [{"$ref": f"#/$defs/d{depth - 1}"}] * 2}
    assert str(VALUES_MAX) in refused({"$defs": defs, "$ref": "#/$defs/d39"}).message
