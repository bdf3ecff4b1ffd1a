"""Clients with heavy dependencies, in an environment of their own, against a stack that runs.

`make test-clients` starts the stack and tells its address and key by the variables that OpenAI's
clients read. In the environment of the platform itself nothing here is collected.
"""

import os
from importlib.util import find_spec

import pytest

from tests.clients.skips import SKIPS

if find_spec("langchain_tests") is None:
    collect_ignore_glob = ["test_*.py"]

_skipped: set[str] = set()


@pytest.fixture(scope="session")
def base_url() -> str:
    """The address of the stack; ends in /v1."""
    return os.environ["OPENAI_BASE_URL"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["OPENAI_API_KEY"]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes what is passed over, with or without a reason."""
    if report.skipped:
        _skipped.add(report.nodeid.partition("::")[2].partition("[")[0])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run that passes over a test that is not listed."""
    if unlisted := _skipped - SKIPS.keys():
        print(f"\npassed over, but not listed in skips.py: {sorted(unlisted)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
