"""A door over real servers: its web process, workers where a test wants them, a tenant and its key.

A file whose door needs others makes its own fixtures of the same names.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from app.db.connect import Connection
from app.settings import Settings
from tests.app.line import tenant
from tests.app.web.chat_pages import ASKED, CHAT, Page, link
from tests.app.web.doors import Caller, web_process, workers
from tests.conftest import short_folder
from workers.inference.desk import Desk


@pytest.fixture(scope="session", autouse=True)
def builders_made_once() -> Iterator[None]:
    """For each of its routes a web process compiles functions that build URLs, which takes most of
    the time in which it is made; they depend on the route alone."""
    make = Rule._compile_builder
    made: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        if rule.defaults:
            return make(rule, append_unknown)
        key = (rule.rule, *rule._trace, append_unknown)
        if key not in made:
            made[key] = make(rule, append_unknown)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield


@pytest.fixture
def settings(gevent_sockets: None, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """A web process without workers."""
    with web_process(settings) as made:
        yield made


@pytest.fixture
def working(settings: Settings) -> Iterator[None]:
    with workers(settings):
        yield


@pytest.fixture
def desks(settings: Settings) -> Iterator[list[Desk]]:
    with workers(settings) as made:
        yield made


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data directory in which the model of embeddings is built once, with the CATALOGUE of the
    file that asks for it, if it has one."""
    with short_folder() as folder:
        catalogue: str | None = getattr(request.module, "CATALOGUE", None)
        if catalogue is not None:
            (folder / "catalogue.yaml").write_text(catalogue)
        yield folder


@pytest.fixture
def mine(connection: Connection) -> str:
    return tenant(connection, 10**9)


@pytest.fixture
def caller(app: Flask, connection: Connection, mine: str) -> Caller:
    return Caller(app, connection, mine)


@pytest.fixture
def path(working: None, caller: Caller) -> str:
    """Where the page of an answer with a web chat is."""
    return link(caller.post(CHAT, ASKED))


@pytest.fixture
def page(app: Flask, path: str) -> Page:
    """That page."""
    return Page(app, path)
