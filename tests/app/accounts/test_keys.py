"""The key ring: trusted for its time, never across keys, and bounded."""

import time

import pytest

from app.accounts import keys
from app.accounts.keys import KeyRing, Principal
from app.accounts.store import key_hash

TRUST_S = 3.0


class Store:
    """What a lookup finds, and how often it was asked."""

    def __init__(self, *known: str) -> None:
        self.rows = {key_hash(key): (f"key_{key}", f"ten_{key}") for key in known}
        self.asked = 0

    def find(self, digest: bytes) -> tuple[str, str] | None:
        self.asked += 1
        return self.rows.get(digest)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_key_is_looked_up_once_while_it_is_trusted(clock: list[float]) -> None:
    store = Store("a")
    ring = KeyRing(store.find, TRUST_S)
    for _ in range(3):
        assert ring.principal("a") == Principal(tenant_id="ten_a", key_id="key_a")
    clock[0] += TRUST_S - 0.01
    ring.principal("a")
    assert store.asked == 1


@pytest.mark.parametrize("was_known", [True, False])
def test_a_change_is_seen_when_the_trust_is_over(clock: list[float], was_known: bool) -> None:
    """A revoked key ends, and a new one begins, within that time."""
    store = Store("a") if was_known else Store()
    ring = KeyRing(store.find, TRUST_S)
    assert (ring.principal("a") is not None) is was_known
    store.rows = {} if was_known else Store("a").rows
    assert (ring.principal("a") is not None) is was_known
    clock[0] += TRUST_S
    assert (ring.principal("a") is not None) is not was_known


def test_keys_with_a_common_beginning_never_meet(clock: list[float]) -> None:
    long = "pk_live_" + "x" * 40
    ring = KeyRing(Store(long + "1").find, TRUST_S)
    assert ring.principal(long + "1") is not None
    assert ring.principal(long + "2") is None
    assert ring.principal(long) is None


def test_an_outage_is_not_remembered(clock: list[float]) -> None:
    store = Store("a")

    def find(digest: bytes) -> tuple[str, str] | None:
        if store.asked == 0:
            store.asked = 1
            raise ConnectionError
        return store.find(digest)

    ring = KeyRing(find, TRUST_S)
    with pytest.raises(ConnectionError):
        ring.principal("a")
    assert ring.principal("a") is not None


def test_it_stays_within_its_bound(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_SIZE", 10)
    ring = KeyRing(Store("a").find, TRUST_S)
    for n in range(100):
        ring.principal(f"wrong{n}")
        assert len(ring._known) <= 10
    assert ring.principal("a") is not None
