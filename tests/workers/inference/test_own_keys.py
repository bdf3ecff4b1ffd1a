"""Keys that tenants brought, as a worker knows them."""

from collections.abc import Callable, Iterator

import pytest

from app.accounts.provider_keys import bring_key, hint_of, remove_provider_key
from app.db.connect import Connection, connect
from app.db.reads import Reads
from app.settings import Settings
from app.vault import Vault
from tests.app.events.parts import until
from tests.app.line import tenant
from workers.inference import own_keys
from workers.inference.own_keys import OwnKeys


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with connect(settings.postgres) as opened:
        yield opened


@pytest.fixture
def known(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnKeys]:
    monkeypatch.setattr(own_keys, "REFRESH_S", 0.02)
    reads = Reads(settings.postgres, "test")
    keys = OwnKeys(reads, Vault(settings))
    yield keys
    keys.close()
    reads.close()


def bring(connection: Connection, settings: Settings, tenant_id: str, key: str) -> str:
    sealed = Vault(settings).seal(key.encode())
    assert key not in sealed
    return bring_key(connection, tenant_id, "openai", sealed, hint_of(key), actor="t").id


def test_a_key_is_known_to_its_tenant_alone_until_it_is_removed(
    connection: Connection, settings: Settings, known: OwnKeys
) -> None:
    mine, other = tenant(connection), tenant(connection)
    bring(connection, settings, mine, "sk-first")
    assert known.of(mine) == {"openai": "sk-first"}
    assert known.of(other) == {}
    key_id = bring(connection, settings, mine, "sk-second")
    until(lambda: known.of(mine) == {"openai": "sk-second"})
    assert remove_provider_key(connection, other, key_id, actor="t") is False
    assert remove_provider_key(connection, mine, key_id, actor="t") is True
    until(lambda: known.of(mine) == {})


def test_a_key_that_cannot_be_opened_never_gives_way_to_the_platforms(
    connection: Connection, known: OwnKeys
) -> None:
    mine = tenant(connection)
    bring_key(connection, mine, "openai", "not sealed", "", actor="t")
    assert known.of(mine) == {"openai": ""}


def test_a_hint_hides_a_short_key() -> None:
    assert (hint_of("sk-0123456789abcdef"), hint_of("short")) == ("cdef", "")
