"""Arithmetic of limits without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.model import SESSION_NAME_MAX, day_of, session_name
from tests.app.limits.parts import bucket


def test_a_bucket_holds_its_arguments_and_zero_stands_for_no_limit() -> None:
    one = bucket(requests=5, sessions=2)
    assert one.arguments == (5, 0, 2)
    assert (one.requests, one.tokens, one.sessions) == (5, None, 2)
    assert one.prefix == "lim:ten_a:"


@pytest.mark.parametrize(("unix_s", "day"), [(0.0, 0), (86_399.999, 0), (86_400.0, 1)])
def test_days_begin_at_utc_midnight(unix_s: float, day: int) -> None:
    assert day_of(unix_s) == day


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_of_sessions_are_short_and_stay_apart(one: str, other: str) -> None:
    for name in (one, one * SESSION_NAME_MAX):
        assert 0 < len(session_name(name)) <= SESSION_NAME_MAX
    long_one, long_other = one * SESSION_NAME_MAX + "1", other * SESSION_NAME_MAX + "1"
    assert (session_name(one) == session_name(other)) == (one == other)
    assert (session_name(long_one) == session_name(long_other)) == (long_one == long_other)


def test_no_name_is_no_session() -> None:
    assert session_name(None) == session_name("") == ""
