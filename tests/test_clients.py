"""The page on clients says what is locked and what is passed over."""

import json
import re

from tests.clients.skips import SKIPS
from tests.markdown import ROOT, page, table

NODE = " (Node)"


def locked(path: str) -> dict[str, str]:
    """The versions in a lock of Python packages."""
    text = (ROOT / path).read_text()
    return dict(re.findall(r"^([a-zA-Z0-9_.-]+)==(\S+)", text, re.M))


def test_the_versions_that_are_told_are_those_that_are_locked() -> None:
    node = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text())
    ours, theirs = locked("requirements-dev.lock"), locked("tests/clients/requirements.lock")
    for name, version, _ in table(page("docs/clients.md"), "client"):
        package = name.removesuffix(NODE).strip("`")
        if name.endswith(NODE):
            assert version == node["packages"][f"node_modules/{package}"]["version"], name
        else:
            assert version == (ours.get(package) or theirs[package]), name
    assert f"`openai` is {theirs['openai']}" in page("docs/clients.md")


def test_the_tests_that_are_passed_over_are_told_with_their_reasons() -> None:
    told = {name.strip("`"): why for name, why in table(page("docs/clients.md"), "test")}
    assert told == SKIPS


def test_locks_name_no_address() -> None:
    for path in ("requirements.lock", "node/package-lock.json"):
        assert "://" not in (ROOT / "tests/clients" / path).read_text(), path
