import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.web.json_guard import DEPTH_MAX, check_json

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        check_json(body)
    return raised.value


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b"[Infinity]", b"[-Infinity]", b"[1e999]", b"[-1e999]", b"[" + b"9" * 5000 + b"]",
        rb'"\ud800"', rb'"\udc00"', rb'"\ud800\u0041"', rb'{"\udead":1}', b'"\0"', b'"\xff"',
        b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"{} {}", b"{}\0", b"{'a':1}",
        b"[1,]", b'{"a":1,}', b"[01]", b"// {}", b" ", b'"',
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert "not JSON" in refusal(body).message


@pytest.mark.parametrize(
    "body",
    [rb'"\u0000"', rb'{"a":["x\u0000y"]}', rb'{"\u0000":1}', rb'"\\\u0000"', rb'"\"\u0000\""'],
)
def test_a_zero_character_is_refused(body: bytes) -> None:
    assert "zero character" in refusal(body).message


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, -(10**300)])
def test_an_integer_that_would_become_a_double_is_refused(number: int) -> None:
    for value in (number, [number], {"seed": {"a": number}}):
        assert str(number)[:40] in refusal(json.dumps(value).encode()).message


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 10**18])
def test_an_integer_of_64_bits_is_taken(number: int) -> None:
    check_json(json.dumps([number, f"{number}0", float(number) * 10**20]).encode())
    check_json(b"[0.%d, %d.5, 1e-%d]" % (10**40, 10**40, 10**3))


@pytest.mark.parametrize("text", ["\\u0000", '\\\\"\\u0022', "\\", "\x7f", "\U0001f600", '"'])
def test_what_only_looks_wrong_is_taken(text: str) -> None:
    for plain in (True, False):
        check_json(json.dumps({text: [text]}, ensure_ascii=plain).encode())


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"a":{"b":1,"c":[{"b":1,"b":1}]},"d":1}', "b"),
        (rb'{"a":1,"\u0061":1}', "a"),
        (rb'{"\"":1,"\u0022":1}', '"'),
        (rb'{"x":"\u0022\u0022","x":1}', "x"),
        (b'{"":{},"":{}}', ""),
        (b'{"a":1,"b":"' + b'\\"' * 50 + b'","a":2}', "a"),
    ],
)
def test_a_name_that_comes_twice_is_named(body: bytes, name: str) -> None:
    refused = refusal(body)
    assert refused.param == name
    assert repr(name) in refused.message


def escaped(name: str, choose: Callable[[], bool]) -> str:
    """The JSON string of a name, some of its characters as \\u escapes."""
    written = json.dumps(name, ensure_ascii=False)[1:-1]
    if not choose():
        return f'"{written}"'
    units = name.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)) + '"'


@given(st.lists(st.text('ab"\\u02é', max_size=3), max_size=5), VALUES, st.data())
def test_names_are_compared_as_they_are_read(names: list[str], value: Any, data: Any) -> None:
    pairs = [escaped(name, lambda: data.draw(st.booleans())) for name in names]
    body = "{" + ",".join(f"{pair}:{json.dumps(value)}" for pair in pairs) + "}"
    if len(set(names)) == len(names):
        check_json(body.encode())
    else:
        assert names.count(str(refusal(body.encode()).param)) > 1


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_every_plain_value_is_taken(value: Any, ascii_only: bool, indent: int | None) -> None:
    check_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


@given(st.binary(max_size=40) | st.text('{}[]",:\\u0 1eE+-.ntf', max_size=40).map(str.encode))
def test_whatever_is_no_json_is_refused_as_such(body: bytes) -> None:
    try:
        check_json(body)
    except InvalidRequest:
        return
    json.loads(body)


@pytest.mark.parametrize("inner", [b"", b"1", b'"' + b"[" * 100 + b'"'])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_has_an_exact_bound(opening: bytes, closing: bytes, inner: bytes) -> None:
    inner = inner or b"null"
    check_json(opening * DEPTH_MAX + inner + closing * DEPTH_MAX)
    wide = b"[" + b"{}," * 200 + b"[]]"
    check_json(wide)
    for levels in (DEPTH_MAX + 1, DEPTH_MAX + 2, 300, 1023, 1024, 1025, 5000):
        for core in (inner, b"1" * 19):
            assert "nested deeper" in refusal(opening * levels + core + closing * levels).message


def test_a_body_of_brackets_costs_nothing_to_refuse() -> None:
    body = b"[" * 1_000_000
    begun = time.process_time()
    assert "nested deeper" in refusal(body).message
    assert time.process_time() - begun < 0.5
