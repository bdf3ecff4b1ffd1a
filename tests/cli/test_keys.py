"""`moonpool keys` over a database."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.accounts.tenants import find_tenant, tenant
from app.cli.main import main
from app.db.connect import Connection
from app.ledger.budgets import create_budget, get_budget
from app.settings import Settings, settings
from tests.app.conftest import books, connection, line_database, line_settings

__all__ = ["books", "connection", "line_database", "line_settings"]


@pytest.fixture
def here(
    line_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, folder: Any
) -> Iterator[None]:
    chosen = line_settings()
    for name in ("database_url", "redis_url", "data_dir"):
        monkeypatch.setenv(f"MOONPOOL_{name.upper()}", str(getattr(chosen, name)))
    own = folder / "catalogue.yaml"
    own.write_text("default_tier: starter\n")
    monkeypatch.setenv("MOONPOOL_CATALOGUE", str(own))
    settings.cache_clear()
    yield
    settings.cache_clear()


def made(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *args, "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_key_for_nobody_makes_a_tenant_of_the_default_tier(
    here: None, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    key = made(capsys, "create", "--tenant", "acme")
    assert find_tenant(connection, "acme") == key["tenant_id"]
    row = tenant(connection, key["tenant_id"])
    assert row is not None
    assert row.tier == "starter"


def test_a_key_in_the_place_of_another_has_its_budgets(
    here: None, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    old = made(capsys, "create", "--tenant", "acme")
    budget = create_budget(connection, old["tenant_id"], "key", old["id"], "day", None, 5)
    new = made(capsys, "rotate", old["id"], "--grace-seconds", "60")
    assert get_budget(connection, old["tenant_id"], budget.id).subject == new["id"]


def test_a_tenant_that_may_not_have_its_name_is_refused_by_the_option(
    here: None, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", "--tenant", "two\nlines"])
    assert ended.value.code == 2
    assert "Invalid value for '--tenant'" in capsys.readouterr().err
    assert find_tenant(connection, "two\nlines") is None
