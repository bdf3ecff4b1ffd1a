"""Principals, and the key ring: trusted for its time, never across keys, and bounded."""

import time
from dataclasses import replace

import pytest

from app.accounts import keys
from app.accounts.jwt import Claims
from app.accounts.keys import KeyRing, Principal, jwt_principal, principal_of
from app.accounts.scopes import TENANT_SCOPES
from app.accounts.store import FoundKey
from app.accounts.tenants import TenantRow, create_tenant, tenant
from app.catalogue.model import Catalogue
from app.catalogue.tiers import Limits
from app.db.connect import Connection
from app.limits.model import Bucket

TRUST_S = 3.0
NONE = (None, None, None)
FREE, STARTER = Limits(requests_per_minute=20), Limits(requests_per_minute=60, sessions=10)
CATALOGUE = Catalogue("m", {}, {}, {}, tiers={"free": FREE, "starter": STARTER})
FOUND = FoundKey("key_a", "ten_a", "live", ["billing"], "shop", NONE, "starter", NONE, None)


def principal(name: str, valid_s: float | None = None) -> Principal:
    found = replace(FOUND, id=f"key_{name}", tenant_id=f"ten_{name}", valid_s=valid_s)
    return principal_of(found, CATALOGUE)


class Store:
    """What a lookup finds, and how often it was asked."""

    def __init__(self, *known: str, valid_s: float | None = None) -> None:
        self.rows = {key: principal(key, valid_s) for key in known}
        self.asked = 0

    def find(self, credential: str) -> Principal | None:
        self.asked += 1
        return self.rows.get(credential)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_principal_is_what_its_key_says() -> None:
    who = principal_of(replace(FOUND, mode="test", valid_s=5.0), CATALOGUE)
    assert (who.tenant_id, who.key_id, who.mode) == ("ten_a", "key_a", "test")
    assert (who.scopes, who.app_id, who.valid_s) == (frozenset({"billing"}), "shop", 5.0)


def test_a_key_without_limits_of_its_own_shares_its_tenants() -> None:
    assert principal_of(FOUND, CATALOGUE).buckets == (Bucket("ten_a", STARTER),)
    unknown = principal_of(replace(FOUND, tier="gone"), CATALOGUE)
    assert unknown.buckets == (Bucket("ten_a", FREE),)


def test_a_tenants_override_stands_over_its_tier() -> None:
    who = principal_of(replace(FOUND, tenant_limits=(None, 5, 99)), CATALOGUE)
    [bucket] = who.buckets
    assert bucket.limits == Limits(requests_per_minute=60, tokens_per_day=5, sessions=99)


def test_a_keys_limits_are_a_bucket_beside_its_tenants() -> None:
    """So a key with more than its tenant still has no more than that."""
    who = principal_of(replace(FOUND, limits=(1000, None, None)), CATALOGUE)
    own = Bucket("key_a", Limits(requests_per_minute=1000))
    assert who.buckets == (Bucket("ten_a", STARTER), own)


@pytest.fixture
def moon(connection: Connection) -> TenantRow:
    row = tenant(connection, create_tenant(connection, "moon", tier="starter"))
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("named", "scopes"),
    [
        ({"billing"}, {"billing"}),
        ({"moonpool/manage", "openid"}, {"manage"}),
        (set(), {"inference", "billing"}),
        ({"openid"}, {"inference", "billing"}),
        ({"admin"}, {"inference", "billing"}),
        ({"admin", "moonpool/admin", *TENANT_SCOPES}, TENANT_SCOPES),
    ],
)
def test_a_token_has_our_scopes_of_its_own_and_never_administers(
    moon: TenantRow, named: set[str], scopes: set[str]
) -> None:
    who = jwt_principal(Claims("iss", "sub", "moon", frozenset(named)), moon, CATALOGUE)
    assert who.scopes == scopes
    assert (who.tenant_id, who.mode) == (moon.id, "live")
    assert who.buckets == (Bucket(moon.id, STARTER),)


def test_a_tokens_bearer_has_a_name_that_is_nobody_elses(moon: TenantRow) -> None:
    pairs = [("iss", "sub"), ("iss", "sub2"), ("iss2", "sub")]
    names = {
        jwt_principal(Claims(*pair, "moon", frozenset()), moon, CATALOGUE).key_id for pair in pairs
    }
    assert len(names) == 3
    assert all(name.startswith("jwt_") for name in names)


def test_a_key_is_looked_up_once_while_it_is_trusted(clock: list[float]) -> None:
    store = Store("a")
    ring = KeyRing(store.find, TRUST_S)
    for _ in range(3):
        assert ring.principal("a") == principal("a")
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


def test_a_key_is_not_trusted_beyond_its_own_end(clock: list[float]) -> None:
    store = Store("a", valid_s=1.0)
    ring = KeyRing(store.find, TRUST_S)
    assert ring.principal("a") is not None
    store.rows = {}
    clock[0] += 0.99
    assert ring.principal("a") is not None
    clock[0] += 0.02
    assert ring.principal("a") is None


def test_keys_with_a_common_beginning_never_meet(clock: list[float]) -> None:
    long = "pk_live_" + "x" * 40
    ring = KeyRing(Store(long + "1").find, TRUST_S)
    assert ring.principal(long + "1") is not None
    assert ring.principal(long + "2") is None
    assert ring.principal(long) is None


def test_an_outage_is_not_remembered(clock: list[float]) -> None:
    store = Store("a")

    def find(credential: str) -> Principal | None:
        if store.asked == 0:
            store.asked = 1
            raise ConnectionError
        return store.find(credential)

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
