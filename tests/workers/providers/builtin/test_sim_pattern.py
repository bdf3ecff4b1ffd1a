"""A text that is made from a regular expression is one that it matches."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.builtin.sim_pattern import PATTERN_MAX, matching

PATTERNS = (
    r"^\d{3}-[a-z]+$", r"^(foo|bar)[^a-z]x?\w\S.$", r"^[A-Z]{2}\s?\d*\Z", r"[^\w]", r"é|ü", "",
    r"^(?P<year>\d{4})(?:-\d\d){1,2}$", r"^[一-龥]+$", r"a*?b+", r"^[^@]+@[^@]+\.[a-z]{2,}$",
    r"^#[0-9a-fA-F]{6}$", r"^(a|b)*c$", r"^$", r"[\D][\S][\W]", r"(?i)^abc$", r"^(?:(?:a*)*)*$",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_made_is_matched(pattern: str) -> None:
    text = matching(pattern)
    assert text is not None
    assert re.search(pattern, text)


@given(st.sampled_from((r"^[a-z]+$", r"^\d{2,}-(?:ab)*$", r"^x", r"^(?:\w\d)+[.]$")),
       st.integers(0, 60))  # fmt: skip
def test_it_is_as_long_as_asked(pattern: str, least: int) -> None:
    text = matching(pattern, least)
    assert text is not None
    assert re.search(pattern, text)
    assert least <= len(text) <= least + 4


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=a)b", r"(?<!a)b", r"(a)\1", r"\bfoo\b", r"a$b", r"x^a", "[", "(" * 999,
        "a" * (PATTERN_MAX + 1), r"(?:a{1000}){1000}", r"a{99999999999}", r"(?>a)b",
    ],
)  # fmt: skip
def test_what_is_beyond_it_is_none(pattern: str) -> None:
    assert matching(pattern) is None


def test_a_bounded_text_cannot_be_longer() -> None:
    assert matching("^a{2,4}$", 4) == "aaaa"
    assert matching("^a{2,4}$", 5) is None


@given(st.text(alphabet="ab[]()*+?{}|\\^$.-,12:=!<", max_size=20))
def test_no_expression_breaks_it(pattern: str) -> None:
    text = matching(pattern)
    with warnings.catch_warnings(action="ignore"):
        assert text is None or re.search(pattern, text)
