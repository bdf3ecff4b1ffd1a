"""One whole stack for all tests of a folder run, broken and mended again and again."""

from collections.abc import Generator, Iterator

import pytest

from app.db.connect import connect
from app.ledger.verify import verify
from tests.stacks import Stack
from tests.waiting import wait_for

LOG_LENGTH = 6_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells the end of the stack's log."""
    report = yield
    stack = item.funcargs.get("chaos_stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("the stack's log", stack.log.read_text()[-LOG_LENGTH:]))
    return report


@pytest.fixture(scope="session")
def chaos_stack() -> Iterator[Stack]:
    with Stack({"MOONPOOL_LOG_LEVEL": "warning"}) as stack:
        yield stack


@pytest.fixture
def stack(chaos_stack: Stack) -> Iterator[Stack]:
    """The stack, ready before each test; after it, all jobs have ended and the books are right."""
    chaos_stack.await_ready()
    yield chaos_stack
    chaos_stack.await_ready()
    with connect(chaos_stack.database_url) as connection:

        def quiet() -> bool:
            row = connection.execute("SELECT count(*) FROM open_job").fetchone()
            return row == (0,)

        wait_for(quiet, 60, "all jobs ended")
        assert verify(connection) == []
        held = connection.execute("SELECT sum(balance) FROM account WHERE kind = 'held'").fetchone()
        assert held == (0,)
