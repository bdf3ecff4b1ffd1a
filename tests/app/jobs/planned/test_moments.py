"""Moments as clients write them."""

import time
from datetime import UTC, datetime

import pytest

from app.errors import InvalidRequest
from app.jobs.planned.moments import AHEAD_S, PAST_S, check_moments, moment_in_text, unix_seconds

MOMENT = datetime(2026, 1, 31, 6, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "written",
    [
        MOMENT, int(MOMENT), "2026-01-31T06:00:00Z", "2026-01-31T07:00:00+01:00",
        "2026-01-31 06:00:00.000+00:00",
    ],
)  # fmt: skip
def test_a_moment_is_read_however_it_is_written(written: object) -> None:
    assert unix_seconds(written) == MOMENT


@pytest.mark.parametrize(
    "written",
    [
        "soon",
        "2026-01-31T06:00:00",
        "1769839200",
        True,
        [1],
        {},
        -1,
        1e300,
        float("nan"),
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        10**10,
        None,
    ],
)
def test_what_is_no_moment_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        unix_seconds(written)


def test_among_texts_a_number_is_a_text_too() -> None:
    for written in ("1769839200", "1769839200.0", "2026-01-31T06:00:00Z"):
        assert moment_in_text(written) == MOMENT
    for wrong in ("", "nan", "1e9", "-1", "99999999999", ["1769839200", "1"]):
        with pytest.raises(ValueError, match="ISO 8601"):
            moment_in_text(wrong)


@pytest.mark.parametrize(
    ("run_in_s", "not_after_in_s", "param"),
    [
        (-PAST_S - 5, None, "run_at"), (AHEAD_S + 60, None, "run_at"), (None, -5, "not_after"),
        (None, AHEAD_S + 60, "not_after"), (60, 60, "not_after"), (60, 30, "not_after"),
        (1e300, None, "run_at"),
    ],
)  # fmt: skip
def test_moments_between_which_no_job_can_run_are_refused_by_name(
    run_in_s: float | None, not_after_in_s: float | None, param: str
) -> None:
    now = time.time()
    with pytest.raises(InvalidRequest) as refused:
        check_moments(
            None if run_in_s is None else now + run_in_s,
            None if not_after_in_s is None else now + not_after_in_s,
        )
    assert refused.value.param == param


def test_moments_within_the_bounds_are_taken() -> None:
    now = time.time()
    check_moments(now - PAST_S + 5, None)
    check_moments(now + AHEAD_S - 5, None)
    check_moments(now + 10, now + 20)
    check_moments(None, now + 5)
