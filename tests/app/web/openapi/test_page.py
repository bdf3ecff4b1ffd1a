import pytest

from app.web.openapi.page import chapters, in_words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer 1 to 9"),
        ({"type": "number", "exclusiveMinimum": 0}, "number over 0"),
        ({"type": "string", "maxLength": 5}, "string 5 characters at most"),
        ({"type": "string", "minLength": 2}, "string 2 characters at least"),
        ({"$ref": "#/components/schemas/Job"}, "Job"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, "array of Job"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"enum": ["a", "b"]}, "'a' or 'b'"),
        ({"const": "list"}, "'list'"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({}, "anything"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, object], words: str) -> None:
    assert in_words(schema) == words


def test_a_door_is_shown_once_with_its_other_path() -> None:
    operation = {"tags": ["A"], "operationId": "x", "security": [{"bearer": ["inference"]}]}
    public = {"tags": ["B"], "operationId": "y", "security": []}
    shown = chapters({
        "tags": [{"name": "B"}, {"name": "A"}, {"name": "empty"}],
        "paths": {"/x": {"post": operation}, "/v1/x": {"post": operation}, "/y": {"get": public}},
    })  # fmt: skip
    assert list(shown) == ["B", "A"]
    [door], [open_] = shown["A"], shown["B"]
    assert (door.method, door.path, door.also, door.scope) == (
        "POST", "/v1/x", "/x", "scope inference",
    )  # fmt: skip
    assert (open_.also, open_.scope) == (None, "no key")
