"""Values that a JSON Schema (draft 2020-12, and what older drafts spell otherwise) allows.

A value is the smallest one that is valid, with what stands in a text put where it fits.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from workers.providers.builtin.request import invalid
from workers.providers.builtin.sim_bounds import Bounds, plain
from workers.providers.builtin.sim_findings import Findings
from workers.providers.builtin.sim_refs import Endless, joined, resolved
from workers.providers.builtin.sim_strings import as_string, fits_string

VALUES_MAX = 1000
"""Values that are made for one schema, given up ones included: references can double endlessly."""

ITEMS_MAX = 16
"""Items that an array takes from a text."""

BEYOND = frozenset({
    "not", "if", "then", "else", "contains", "patternProperties", "propertyNames",
    "dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef",
})  # fmt: skip
"""Keywords that are refused, since what is made here could break them."""

KINDS = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})

_KEYWORDS_OF = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}

Schema = dict[str, Any]
Refs = tuple[str, ...]


def instance(schema: Any, findings: Findings, field: str) -> Any:
    """A value that `schema` allows. `oneOf` is read as `anyOf`, and a format that is not known as
    any text. Raises ProviderError `invalid`, which names `field`, for a schema that allows none, is
    too large, or has a keyword of `BEYOND`."""
    try:
        return _Maker(schema, findings).make(schema, (), field.rpartition(".")[2])
    except Endless as error:
        raise invalid(
            field, str(error) or "the simulator finds no value that this allows"
        ) from None
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise invalid(field, f"the simulator cannot follow this schema: {error}") from None


class _Maker:
    """Makes the values of one schema. `turn` asks for a different value where several are needed;
    `refs` are the references on the way here, since one that leads to itself never ends."""

    def __init__(self, root: Any, findings: Findings) -> None:
        self._root, self._findings = root, findings
        self._left = VALUES_MAX

    def make(self, schema: Any, refs: Refs, name: str, turn: int = 0) -> Any:
        self._spend()
        if schema is False:
            raise Endless
        if schema is True:
            schema = {}
        schema, refs = resolved(schema, self._root, refs, self._spend)
        if beyond := BEYOND & schema.keys():
            raise ValueError(f"it has {sorted(beyond)[0]}")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._member(schema["enum"], turn)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                rest = {name: value for name, value in schema.items() if name != key}
                branches = [joined(rest, branch) for branch in schema[key]]
                return self._first(branches, refs, name, turn)
        kinds = schema.get("type") or _kind_of(schema)
        if isinstance(kinds, list):
            kinds = sorted(kinds, key=lambda kind: kind == "null")
            return self._first([{**schema, "type": kind} for kind in kinds], refs, name, turn)
        return self._of_kind(kinds, schema, refs, name, turn)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it takes more than {VALUES_MAX} values")

    def _first(self, branches: list[Any], refs: Refs, name: str, turn: int) -> Any:
        for branch in branches:
            try:
                return self.make(branch, refs, name, turn)
            except Endless:
                continue
        raise Endless

    def _member(self, members: list[Any], turn: int) -> Any:
        """The member that the text names, else the first; `turn` members on."""
        at = members.index(next(filter(self._named, members), members[0]))
        if turn >= len(members):
            raise Endless
        return members[(at + turn) % len(members)]

    def _of_kind(self, kind: str, schema: Schema, refs: Refs, name: str, turn: int) -> Any:
        if kind not in KINDS:
            raise ValueError(f"there is no type {kind!r}")
        if kind == "object":
            return self._object(schema, refs, turn)
        if kind == "array":
            return self._array(schema, refs, name)
        if kind == "null":
            return None
        if kind == "boolean":
            return self._boolean(turn)
        if (found := self._found(kind, schema)) is not None:
            return found
        if kind == "string":
            return as_string(schema, name, turn)
        number = Bounds(schema, whole=kind == "integer").least(turn)
        if number is None:
            raise Endless
        return number

    def _boolean(self, turn: int) -> bool:
        if turn > 1:
            raise Endless
        says_no = any(map(self._findings.names, ("false", "no", "not", "off", "without")))
        return says_no is (turn == 1)

    def _found(self, kind: str, schema: Schema) -> Any:
        """What the text has for a string or a number; None if nothing fits."""
        if kind == "string":
            form = schema.get("format")
            return self._findings.string(form, lambda text: fits_string(schema, text))
        if kind not in ("integer", "number"):
            return None
        bounds = Bounds(schema, whole=kind == "integer")
        text = self._findings.number(lambda text: bounds.fits(Fraction(text)))
        return None if text is None else plain(Fraction(text))

    def _offered(self, schema: Any, refs: Refs) -> Any:
        """What the text has for a schema that need not be filled; None if nothing."""
        self._spend()
        if not isinstance(schema, dict):
            return None
        try:
            schema, refs = resolved(schema, self._root, refs, self._spend)
        except Endless:
            return None
        if "enum" in schema:
            return next(filter(self._named, schema["enum"]), None)
        kinds = schema.get("type") or ""
        branches = [{"type": kind} for kind in kinds] if isinstance(kinds, list) else []
        branches += schema.get("anyOf", [])
        for branch in branches:
            found = self._offered(joined(dict(schema, type=None, anyOf=[]), branch), refs)
            if found is not None:
                return found
        if kinds in ("object", "array"):
            return self._filled(schema, refs)
        return self._found(kinds, schema) if isinstance(kinds, str) and not branches else None

    def _filled(self, schema: Schema, refs: Refs) -> Any:
        """An object or array that the text has something for; None without."""
        given = self._findings.given
        try:
            value = self.make(schema, refs, "")
        except Endless:
            return None
        return value if self._findings.given > given else None

    def _all_offered(self, schema: Any, refs: Refs) -> Iterator[Any]:
        """All that the text has for a schema: each member that it names, or each value."""
        try:
            schema, refs = resolved(schema, self._root, refs, self._spend)
        except Endless:
            return
        if "enum" in schema:
            yield from filter(self._named, schema["enum"])
            return
        given = -1
        while given != self._findings.given:
            given = self._findings.given
            if (found := self._offered(schema, refs)) is not None:
                yield found

    def _named(self, member: Any) -> bool:
        return isinstance(member, str) and self._findings.names(member)

    def _object(self, schema: Schema, refs: Refs, turn: int) -> dict[str, Any]:
        """All that is required, then what else the text has something for while values are left."""
        known, required = schema.get("properties") or {}, schema.get("required") or []
        more = schema.get("additionalProperties", True)
        values = {name: self._other(known.get(name, more), refs, name, turn) for name in required}
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", VALUES_MAX)
        if max(least, len(values)) > min(most, VALUES_MAX):
            raise Endless
        for name in known:
            if name not in values and len(values) < most and self._left > VALUES_MAX // 2:
                found = self._offered(known[name], refs)
                if found is not None:
                    values[name] = found
        free = [] if more is False else [f"key{number + 1}" for number in range(least)]
        for name in (name for name in [*known, *free] if name not in values):
            if len(values) >= least:
                break
            values[name] = self._other(known.get(name, more), refs, name, turn)
        if len(values) < least:
            raise Endless
        return {name: values[name] for name in [*known, *values] if name in values}

    def _other(self, schema: Any, refs: Refs, name: str, turn: int) -> Any:
        """A value that differs with `turn` where the schema allows several."""
        try:
            return self.make(schema, refs, name, turn)
        except Endless:
            if not turn:
                raise
            return self.make(schema, refs, name)

    def _array(self, schema: Schema, refs: Refs, name: str) -> list[Any]:
        """All that the text has for its items, at least one item where one can be made."""
        first, items = schema.get("prefixItems") or [], schema.get("items", True)
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", True)
        least, unique = schema.get("minItems", 0), bool(schema.get("uniqueItems"))
        most = min(schema.get("maxItems", ITEMS_MAX), max(ITEMS_MAX, least))
        if least > schema.get("maxItems", least):
            raise Endless
        made = [self.make(item, refs, name) for item in first[:most]]
        for found in self._all_offered(items, refs) if isinstance(items, dict) else ():
            if len(made) == most:
                break
            if not unique or not _holds(made, found):
                made.append(found)
        wanted, turn = max(least, min(1, most)), 0
        make = self.make if unique else self._other
        while len(made) < wanted:
            try:
                value = make(items, refs, name, turn)
            except Endless:
                if len(made) >= least:
                    break
                raise
            if not unique or not _holds(made, value):
                made.append(value)
            turn += 1
        return made


def _holds(made: list[Any], value: Any) -> bool:
    """Whether a JSON value is among others; true is not 1 here."""
    return any(known == value and (known is True) == (value is True) for known in made)


def _kind_of(schema: Schema) -> str:
    """The type that the keywords of a schema speak of; text if they speak of none."""
    kinds = (kind for kind, words in _KEYWORDS_OF.items() if any(word in schema for word in words))
    return next(kinds, "string")
