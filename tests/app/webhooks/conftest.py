"""A tenant with endpoints, and a courier that reaches the receivers of this machine."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import gevent
import gevent.socket
import pytest

from app.accounts.tenants import create_tenant
from app.db.connect import Connection, connect
from app.settings import Settings
from app.vault import Vault
from app.webhooks import store
from app.webhooks.courier import Courier
from app.webhooks.model import EVENTS, Endpoint
from tests.app.webhooks.parts import SECRET
from tests.webhook_receiver import Receiver


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with connect(settings.postgres) as opened:
        yield opened


@pytest.fixture
def tenant(connection: Connection) -> str:
    return create_tenant(connection, "moon")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def make_endpoint(
    settings: Settings, connection: Connection, tenant: str
) -> Callable[..., Endpoint]:
    """Makes endpoints of the tenant: `make_endpoint(receiver.url)`."""
    sealed = Vault(settings).seal(SECRET.encode())

    def make(url: str, events: tuple[str, ...] = EVENTS, tenant_id: str = tenant) -> Endpoint:
        return store.create_endpoint(
            connection, tenant_id, url, "", list(events), sealed, actor="key_test"
        )

    return make


@pytest.fixture
def make_courier(settings: Settings) -> Callable[..., Courier]:
    """Makes couriers that may reach receivers: `make_courier(receiver, timeout_s=1)`."""

    def make(*receivers: Receiver, timeout_s: float = 5) -> Courier:
        allow = ",".join(receiver.allow for receiver in receivers)
        return Courier(settings.model_copy(update={"webhook_allow": allow}), timeout_s=timeout_s)

    return make


@pytest.fixture
def gevent_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives httpx gevent's sockets, as in a worker, which is patched."""
    monkeypatch.setattr("httpcore._backends.sync.socket", gevent.socket)


@pytest.fixture
def turning() -> Iterator[Callable[[Courier], None]]:
    """Runs a courier's turn in a greenlet of its own."""
    greenlets = []

    def turn(courier: Courier) -> None:
        greenlets.append(gevent.spawn(courier.turn))

    yield turn
    with suppress(gevent.Timeout):
        gevent.joinall(greenlets, timeout=10)
    assert all(greenlet.successful() for greenlet in greenlets)
