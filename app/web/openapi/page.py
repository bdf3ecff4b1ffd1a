"""The description as its page shows it: operations by chapter, shapes in a few words."""

from dataclasses import dataclass
from typing import Any

REF = "#/components/schemas/"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation on the page; `also`: the path that does the same without `/v1`."""

    method: str
    path: str
    told: Json
    also: str | None

    @property
    def anchor(self) -> str:
        return str(self.told["operationId"])

    @property
    def scope(self) -> str:
        """What a key needs to call it."""
        needed = self.told["security"]
        if not needed:
            return "no key"
        return "scope " + ", ".join(needed[0]["bearer"]) if needed[0]["bearer"] else "any key"


def chapters(told: Json) -> dict[str, list[Shown]]:
    """The operations of a document by tag, in the order of its tags."""
    found: dict[str, list[Shown]] = {tag["name"]: [] for tag in told["tags"]}
    for path, methods in told["paths"].items():
        if f"/v1{path}" in told["paths"]:
            continue
        bare = path.removeprefix("/v1")
        also = bare if bare != path and bare in told["paths"] else None
        for method, operation in methods.items():
            found[operation["tags"][0]].append(Shown(method.upper(), path, operation, also))
    return {tag: shown for tag, shown in found.items() if shown}


def in_words(schema: Json) -> str:
    """What a value may be, such as `integer 1 to 100`, `array of Job` or `string or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REF)
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " or ".join(map(repr, schema["enum"]))
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(map(in_words, schema[union])))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {in_words(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {in_words(schema['additionalProperties'])}"
    return " ".join([str(kind), *_bounds(schema)])


def _bounds(schema: Json) -> list[str]:
    told = []
    for lowest, highest, unit in (
        ("minimum", "maximum", ""), ("exclusiveMinimum", "exclusiveMaximum", ""),
        ("minLength", "maxLength", " characters"),
    ):  # fmt: skip
        low, high = schema.get(lowest), schema.get(highest)
        beyond = "exclusive" in lowest
        if low is not None and high is not None and not beyond:
            told.append(f"{low} to {high}{unit}")
        else:
            if low is not None:
                told.append(f"over {low}{unit}" if beyond else f"{low}{unit} at least")
            if high is not None:
                told.append(f"under {high}{unit}" if beyond else f"{high}{unit} at most")
    return told
