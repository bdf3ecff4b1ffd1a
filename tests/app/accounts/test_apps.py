"""Apps: a tenant's own ids, which another tenant may use too."""

import pytest

from app.accounts.apps import app_by_id, create_app, list_apps
from app.accounts.audit import audit_page
from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.errors import Conflict


def test_an_id_is_given_once_in_a_tenant(connection: Connection) -> None:
    mine, other = create_tenant(connection, "moon"), create_tenant(connection, "sun")
    made = create_app(connection, mine, "shop", "The shop", actor="key_boss")
    with pytest.raises(Conflict) as refused:
        create_app(connection, mine, "shop", "Another")
    assert refused.value.param == "id"
    theirs = create_app(connection, other, "shop", "Theirs")
    assert app_by_id(connection, mine, "shop") == made
    assert app_by_id(connection, other, "shop") == theirs
    assert app_by_id(connection, mine, "Shop") is None
    entries = audit_page(connection, mine, None, 10)
    assert [(e.actor, e.action, e.target, e.detail) for e in entries[:-1]] == [
        ("key_boss", "app.create", "shop", {"name": "The shop"})
    ]


def test_apps_are_listed_by_id_a_page_at_a_time(connection: Connection) -> None:
    mine, other = create_tenant(connection, "moon"), create_tenant(connection, "sun")
    for app_id in ("c", "a", "b"):
        create_app(connection, mine, app_id, app_id)
    create_app(connection, other, "d", "d")
    assert [app.id for app in list_apps(connection, mine, "", 2)] == ["a", "b"]
    assert [app.id for app in list_apps(connection, mine, "b", 2)] == ["c"]
