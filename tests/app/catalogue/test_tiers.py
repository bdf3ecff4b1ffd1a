"""What a tier allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.catalogue.tiers import Limits

CAPS = st.tuples(*[st.none() | st.integers(1, 10)] * 3)
NAMES = ("requests_per_minute", "tokens_per_day", "sessions")


def limits(caps: tuple[int | None, ...]) -> Limits:
    return Limits.model_validate(dict(zip(NAMES, caps, strict=True)))


@given(CAPS, CAPS)
def test_an_override_stands_and_the_rest_stays(
    caps: tuple[int | None, int | None, int | None],
    over: tuple[int | None, int | None, int | None],
) -> None:
    stands = tuple(
        ours if theirs is None else theirs for ours, theirs in zip(caps, over, strict=True)
    )
    assert limits(caps).over(*over) == limits(stands)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cap", [0, -1, "many"])
def test_a_limit_is_at_least_one(name: str, cap: object) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({name: cap})


def test_an_unknown_limit_is_refused_and_a_known_one_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"requests_per_hour": 1})
    with pytest.raises(ValidationError):
        Limits(sessions=1).sessions = 2  # type: ignore[misc]


def test_no_limit_is_the_default() -> None:
    assert Limits() == limits((None, None, None))
    with pytest.raises(ValidationError):
        Limits(sessions=1).over(None, None, 0)
