"""What the doctor says of a Postgres."""

import pytest

from app.stack.checks import pgvector_check


@pytest.mark.parametrize(
    ("version", "state"),
    [("0.8.1", "ok"), ("0.8", "ok"), ("1.0", "ok"), ("0.7.4", "fail"), (None, "fail")],
)
def test_an_old_pgvector_or_none_is_a_fault(version: str | None, state: str) -> None:
    check = pgvector_check(version)
    assert check.state == state
    assert bool(check.mend) == (state == "fail")
