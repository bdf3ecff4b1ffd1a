"""A web process and its workers in one test process: doors that answer, over real servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from flask import Flask
from werkzeug.test import TestResponse

from app.accounts.store import create_key
from app.db.connect import Connection
from app.jobs.model import Lane
from app.main import create_app
from app.settings import Settings
from app.web.front import Front
from workers.chores.registry import CHORES
from workers.inference.desk import Desk

LANES: tuple[Lane, ...] = ("interactive", "background", "system")
LOOK_S = 0.005


@contextmanager
def web_process(settings: Settings) -> Iterator[Flask]:
    """The application, whose greenlets and connections end with it."""
    app = create_app(settings)
    front: Front = app.extensions["moonpool"]
    yield app
    front.jobs.close()
    gevent.killall([g for g in (front.hub._reader, front.hub._teller) if g is not None])
    front.reads.close()


@contextmanager
def workers(settings: Settings) -> Iterator[list[Desk]]:
    """A desk for each lane, which looks for work all the time."""
    desks = [Desk(settings, lane, CHORES) for lane in LANES]

    def serve(desk: Desk) -> None:
        while True:
            gevent.spawn(desk.answer, desk.lane, 8)
            gevent.sleep(LOOK_S)

    greenlets = [gevent.spawn(serve, desk) for desk in desks]
    yield desks
    gevent.killall(greenlets)
    for desk in desks:
        desk.drain(0)
        for group in (desk._claims, desk._settles, desk._returns):
            group.close()
        gevent.killall([g for g in [desk._parts.publisher._writer] if g is not None])


class Caller:
    """A client with a key of one tenant."""

    def __init__(self, app: Flask, connection: Connection, tenant_id: str, **key: Any) -> None:
        self._client = app.test_client()
        self._key = create_key(connection, tenant_id, "test", **key).key

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open(path, "GET", **options)

    def post(self, path: str, body: Any, **headers: str) -> TestResponse:
        return self.open(path, "POST", json=body, headers=headers)

    def open(
        self, path: str, method: str, *, buffered: bool = True, **options: Any
    ) -> TestResponse:
        """Sends a request; reads the whole answer unless it is not `buffered`."""
        headers = {"Authorization": f"Bearer {self._key}", **options.pop("headers", {})}
        return self._client.open(path, method=method, headers=headers, buffered=buffered, **options)
