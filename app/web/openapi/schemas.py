"""JSON Schemas of pydantic models, as an OpenAPI document has them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from app.web.openapi.operation import Operation

Json = dict[str, Any]
PLAIN: Mapping[type, Json] = {
    str: {"type": "string"},
    bytes: {"type": "string", "format": "binary"},
    dict: {"type": "object"},
}
TEMPLATE = "#/components/schemas/{model}"


class _Generator(GenerateJsonSchema):
    """Without a title for each field, which only repeats its name, and without defaults that only
    stand for a field that is not there."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> Json:
        if schema.get("default") in (None, ""):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


class Schemas:
    """The schemas of all that operations take and give."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        models = dict.fromkeys(model for each in operations for model in _models(each))
        known, told = models_json_schema(
            [(model, "validation") for model in models],
            ref_template=TEMPLATE, schema_generator=_Generator,
        )  # fmt: skip
        self.components: Json = _named(told["$defs"])
        for name, component in self.components.items():
            if name.endswith("ChangeBody"):
                # What a change leaves out stays as it is.
                for field in component["properties"].values():
                    field.pop("default", None)
        self._known = {model: _named(schema) for (model, _), schema in known.items()}

    def of(self, shape: Any) -> Json:
        """The schema of a model, a list of one, `str`, `bytes` or `dict`."""
        if get_origin(shape) is list:
            return {"type": "array", "items": self.of(get_args(shape)[0])}
        return self._known[shape] if shape in self._known else dict(PLAIN[shape])

    def body(self, takes: type[BaseModel] | Mapping[str, Any]) -> Json:
        """A request body: JSON, or by media type. None is as good as an empty object where no
        field is needed."""
        if isinstance(takes, Mapping):
            content = {kind: {"schema": self.of(shape)} for kind, shape in takes.items()}
            return {"required": True, "content": content}
        needed = any(field.is_required() for field in takes.model_fields.values())
        return {"required": needed, "content": {"application/json": {"schema": self.of(takes)}}}

    def query(self, model: type[BaseModel]) -> Iterator[Json]:
        """The query parameters that a model stands for."""
        schema = model.model_json_schema(ref_template=TEMPLATE, schema_generator=_Generator)
        for name, field in schema["properties"].items():
            about = {"description": field.pop("description")} if "description" in field else {}
            yield {"name": name, "in": "query", **about, "schema": _present(field)}


def error_schema() -> Json:
    """What every error is answered with."""
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    error = {"message": text, "type": text, "param": maybe, "code": maybe}
    return {
        "type": "object",
        "required": ["error", "detail"],
        "properties": {
            "error": {"type": "object", "required": list(error), "properties": error},
            "detail": text,
            "retry_after": {"type": "number"},
        },
    }


def _models(operation: Operation) -> Iterator[type[BaseModel]]:
    takes = operation.takes
    for shape in (
        operation.gives, operation.errors_as, *operation.also.values(), *operation.forms.values(),
        *(takes.values() if isinstance(takes, Mapping) else [takes]),
    ):  # fmt: skip
        model = get_args(shape)[0] if get_origin(shape) is list else shape
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield model


def _named(schemas: Json) -> Json:
    """The same, where models of one name are told apart by their file and not by its whole path."""
    text = re.sub(
        r"app__web__(?:schemas|openapi)__(\w)(\w*?)__",
        lambda found: found[1].upper() + found[2],
        orjson.dumps(schemas).decode(),
    )
    told: Json = orjson.loads(text)
    return told


def _present(field: Json) -> Json:
    """The schema of a parameter that is there: no null, and no default that stands for absence."""
    if not isinstance(field.get("default"), int):
        field.pop("default", None)
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        rest = {key: value for key, value in field.items() if key != "anyOf"}
        return {**kinds[0], **rest}
    return {**field, "anyOf": kinds} if kinds else field
