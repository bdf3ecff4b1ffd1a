"""Errors of jobs, as a client is told of them that waited."""

import pytest

from app.errors import (
    Conflict,
    DeadlinePassed,
    Gone,
    ModelNotFound,
    MoonpoolError,
    NotFound,
    Unavailable,
    from_job_error,
)


@pytest.mark.parametrize(
    "raised", [Conflict, DeadlinePassed, Gone, ModelNotFound, NotFound, Unavailable]
)
def test_what_a_worker_raised_is_answered_with_its_own_status(raised: type[MoonpoolError]) -> None:
    told = from_job_error(raised("No.", param="lune_id").body())
    assert (type(told), told.message, told.param) == (raised, "No.", "lune_id")
    assert (told.status, told.type, told.code) == (raised.status, raised.type, raised.code)
