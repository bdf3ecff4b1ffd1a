"""What the stored error of a job stands for."""

import pytest

from app.errors import Conflict, Gone, MoonpoolError, NotFound, Unavailable, from_job_error


@pytest.mark.parametrize("kind", [NotFound, Conflict, Gone, Unavailable])
def test_an_error_that_a_job_ended_with_is_told_as_itself(kind: type[MoonpoolError]) -> None:
    told = from_job_error(kind("Not like this.", param="session_id").body())
    assert type(told) is kind
    assert (told.message, told.param) == ("Not like this.", "session_id")
