"""Debian's Chromium, and a whole stack for it to look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from app.db.connect import connect
from tests.browser.line import Line
from tests.browser.played import FIRST, Model
from tests.markdown import ROOT
from tests.stacks import Stack
from tests.waiting import wait_for

WAIT_MS = 60_000
PATIENT = {
    "MOONPOOL_LOG_LEVEL": "debug",
    "MOONPOOL_FIRST_TOKEN_TIMEOUT": "600",
    "MOONPOOL_IDLE_TIMEOUT": "600",
    "MOONPOOL_LEASE_SECONDS": "120",
}
"""On a busy machine nothing is begun anew because the test was slow."""

DESKTOP = {"width": 1280, "height": 800}
PROCFILE = f"""\
web: gunicorn -c {ROOT}/deploy/gunicorn.py
worker_interactive: moonpool worker interactive
upkeep: moonpool upkeep
"""
Tab = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for this folder. It ends with it, since Playwright's event loop runs as long."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this machine: `make test` installs it where apt-get may")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def playing() -> Iterator[Model]:
    with Model() as served:
        yield served


@pytest.fixture
def model(playing: Model, stack: Stack) -> Iterator[Model]:
    """The model that answers on this stack. What was still asked of it ends with the test, also
    what comes late: the next test shall not speak to it."""
    playing.first = FIRST
    yield playing
    with connect(stack.database_url) as connection:

        def is_quiet() -> bool:
            playing.falls_silent()
            return connection.execute("SELECT count(*) FROM open_job").fetchone() == (0,)

        wait_for(is_quiet, 60, "all jobs ended")


@pytest.fixture(scope="package")
def stack(
    browser: Browser, playing: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The web and what it needs to answer."""
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.yaml"
    price = {"input": 1, "output": 2}
    route = {"provider": "played", "model": "theirs"}
    own = {
        "providers": {"played": {"kind": "openai", "base_url": playing.url}},
        "models": {"moon": {"price": price, "max_output": 100, "routes": [route]}},
    }
    path.write_text(yaml.safe_dump(own))
    with Stack(PATIENT | {"MOONPOOL_CATALOGUE": str(path)}, procfile=PROCFILE) as running:
        wait_for(lambda: _is_up(running), 60, "the web")
        yield running


@pytest.fixture
def line(stack: Stack) -> Iterator[Line]:
    """A line to the stack that the test may cut."""
    with Line(stack.port) as between:
        yield between


@pytest.fixture
def tab(browser: Browser, stack: Stack) -> Iterator[Tab]:
    """Opens pages, all of them in one profile or each in one of its own. The test fails if one of
    them had an error, or asked for anything but this stack."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []
    asked_for: list[str] = []

    def open_page(url: str, beside: Page | None = None, **how: Any) -> Page:
        if beside is None:
            opened.append(browser.new_context(**{"viewport": DESKTOP, **how}))
        profile = beside.context if beside else opened[-1]
        page = profile.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: asked_for.append(asked.url.removeprefix("blob:")))
        page.goto(url)
        return page

    yield open_page
    for profile in opened:
        profile.close()
    assert wrong == []
    assert [url for url in asked_for if not url.startswith("http://127.0.0.1:")] == []


def _is_up(stack: Stack) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{stack.port}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
