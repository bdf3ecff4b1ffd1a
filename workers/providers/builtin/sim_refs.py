"""References and conjunctions of a JSON Schema, made plain."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]
Refs = tuple[str, ...]

_HIGHEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_LOWEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Endless(Exception):
    """No value here: none is allowed, or making one never ends."""


def resolved(schema: Any, root: Any, refs: Refs, spend: Callable[[], None]) -> tuple[Schema, Refs]:
    """A schema with `$ref` and `allOf` replaced by what they stand for, and the references on the
    way to it. Calls `spend` for each, so that the caller can end it. Raises Endless for a reference
    that is among `refs`."""
    if not isinstance(schema, dict):
        raise ValueError("a schema must be an object, true or false")
    while "$ref" in schema or "allOf" in schema:
        spend()
        if "$ref" in schema:
            ref = schema["$ref"]
            if ref in refs:
                raise Endless
            refs = (*refs, ref)
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = joined(_at(root, ref), rest)
        else:
            parts = schema["allOf"]
            schema = {key: value for key, value in schema.items() if key != "allOf"}
            ways = [refs]
            for part in parts:
                plain, way = resolved({} if part is True else part, root, refs, spend)
                schema = joined(schema, plain)
                ways.append(way)
            refs = tuple({ref: None for way in ways for ref in way})
    return schema, refs


def joined(one: Any, other: Any) -> Any:
    """A schema that allows what both allow. Where a keyword says two things that cannot be told as
    one, the second stands."""
    if one is False or other is False:
        return False
    if one is True or other is True:
        return other if one is True else one
    both = {**one, **other}
    for key in one.keys() & other.keys():
        first, second = one[key], other[key]
        if key == "properties":
            named = first.keys() & second.keys()
            both[key] = {**first, **second, **{n: joined(first[n], second[n]) for n in named}}
        elif key == "required":
            both[key] = list(dict.fromkeys([*first, *second]))
        elif key == "allOf":
            both[key] = [*first, *second]
        elif key in _HIGHEST:
            both[key] = max(first, second)
        elif key in _LOWEST:
            both[key] = min(first, second)
        elif key == "enum":
            both[key] = [member for member in first if member in second]
        elif key == "type":
            both[key] = _common(first, second)
    return both


def _common(one: Any, other: Any) -> Any:
    """The types that both name."""
    if not one or not other:
        return one or other
    ones, others = ([kind] if isinstance(kind, str) else kind for kind in (one, other))
    common = [kind for kind in ones if kind in others]
    if "integer" in (*ones, *others) and "number" in (*ones, *others):
        common = [*dict.fromkeys([*common, "integer"])]
    if not common:
        raise Endless
    return common[0] if len(common) == 1 else common


def _at(root: Any, ref: Any) -> Any:
    """What a reference points at (JSON Pointer in a fragment, RFC 6901, section 6)."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        raise ValueError("a $ref must begin with #")
    found = root
    for part in ref[1:].split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found.get(name)
        if found is None:
            raise ValueError(f"{ref} leads nowhere")
    return found
