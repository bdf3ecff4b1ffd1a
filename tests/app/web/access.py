"""Callers of the web's account rooms, each with a key, over an application without a port."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Blueprint, Flask
from werkzeug.test import TestResponse

from app.accounts.audit import AuditEntry, audit_page
from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.ids import new_id
from app.settings import Settings
from app.web import guards
from app.web.auth import Guard
from app.web.front import Front
from app.web.front import front as make_front
from app.web.problems import install

Routes = Callable[[Front], Blueprint]


class Caller:
    """Whoever has a credential; without one, anybody."""

    def __init__(self, app: Flask, credential: str = "", key_id: str = "") -> None:
        self.client, self.credential, self.id = app.test_client(), credential, key_id

    def send(
        self, method: str, path: str, body: object = None, idempotency_key: str | None = None
    ) -> TestResponse:
        """Sends a body as JSON; bytes go as they are, None sends none."""
        headers = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        return self.client.open(path, method=method, headers=headers, data=data)

    def get(self, path: str) -> TestResponse:
        return self.send("GET", path)

    def post(self, path: str, body: object = None, key: str | None = None) -> TestResponse:
        return self.send("POST", path, body, key)

    def delete(self, path: str) -> TestResponse:
        return self.send("DELETE", path)

    def made(self, path: str, body: object = None, status: int = 201) -> dict[str, Any]:
        """What a POST answers that must go well."""
        answer = self.post(path, body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


class Door:
    """An application over this test's stores, and the tenants who call it."""

    def __init__(self, app: Flask, front: Front) -> None:
        self.app, self.front = app, front

    def run(self, work: Callable[[Connection], Any]) -> Any:
        return self.front.reads.run(work)

    def tenant(self, **options: Any) -> str:
        made: str = self.run(lambda c: create_tenant(c, new_id("name"), **options))
        return made

    def caller(self, tenant_id: str, **options: Any) -> Caller:
        """Somebody with a key of this tenant, as `create_key` makes it with these options."""
        made = self.run(lambda c: create_key(c, tenant_id, "caller", **options))
        return Caller(self.app, made.key, made.id)

    def nobody(self) -> Caller:
        return Caller(self.app)

    def audit(self, tenant_id: str | None = None) -> list[AuditEntry]:
        """What was changed, oldest first."""
        found: list[AuditEntry] = self.run(lambda c: audit_page(c, tenant_id, None, 100))
        return found[::-1]

    def count(self, table: bytes) -> int:
        """How many rows a table has."""
        [[number]] = self.run(lambda c: c.execute(b"SELECT count(*) FROM " + table).fetchall())
        return int(number)


@contextmanager
def open_door(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *rooms: tuple[Routes, Guard]
) -> Iterator[Door]:
    """An application of these rooms behind these guards."""
    app = Flask("test", static_folder=None)
    app.url_map.strict_slashes = False
    front = make_front(settings)
    install(app)
    for routes, stands_before in rooms:
        blueprint = routes(front)
        monkeypatch.setitem(guards.GUARDS, blueprint.name, stands_before)
        guards.guard(app, front, [blueprint])
    try:
        yield Door(app, front)
    finally:
        front.limiter.close()
        front.reads.close()


def problem(answer: TestResponse) -> tuple[int, str | None, str | None]:
    """A refusal's status, code and the field that it names."""
    error = answer.get_json()["error"]
    return answer.status_code, error["code"], error["param"]
