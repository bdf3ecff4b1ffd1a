"""Whole stacks, and the real OpenAI client pointed at one with nothing but two settings."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from openai import OpenAI

from app.accounts.scopes import TENANT_SCOPES
from app.accounts.store import create_key
from app.accounts.tenants import create_tenant, find_tenant
from app.db.connect import connect
from app.ledger.store import add_credit
from app.money import nanos_from_usd
from tests.conformance.house import CATALOGUE, ENV, VENDORS, Played, Provider
from tests.ears import listening
from tests.issuer import AUDIENCE, Issuer, ec_key, rsa_key
from tests.stacks import Stack, without_calendar


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.base_url, api_key=stack.key, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """The issuer whose tokens the stack of two webs takes."""
    with Issuer(rsa_key("rsa-1"), ec_key("ec-1")) as running:
        yield running


@pytest.fixture(scope="session")
def webs(issuer: Issuer) -> Iterator[Stack]:
    """A stack whose web is two processes, and which takes the issuer's tokens."""
    env = {
        "MOONPOOL_WEB_PROCESSES": "2",
        "MOONPOOL_JWT_ISSUERS": issuer.url,
        "MOONPOOL_JWT_AUDIENCES": AUDIENCE,
    }
    with Stack(env, procfile=without_calendar()) as stack:
        stack.await_ready()
        yield stack


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The provider `local` of the house."""
    with Provider() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def played() -> Iterator[dict[str, Played]]:
    """The house's vendors whose API is not OpenAI's."""
    all_played = {name: Played(vendor) for name, vendor in VENDORS.items()}
    yield all_played
    for one in all_played.values():
        one.server.shutdown()


@pytest.fixture(scope="session")
def house(
    provider: Provider, played: dict[str, Played], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack with providers that are played, and the models that the pages name."""
    path: Path = tmp_path_factory.mktemp("house") / "catalogue.yaml"
    local = f"http://127.0.0.1:{provider.server_address[1]}"
    with listening() as ears:
        urls = {name: vendor.url for name, vendor in played.items()}
        path.write_text(CATALOGUE.format(ears=ears, local=local, **urls))
        env = ENV | {"MOONPOOL_CATALOGUE": str(path)}
        with Stack(env, procfile=without_calendar()) as stack:
            stack.await_ready()
            yield stack


@pytest.fixture
def bearer(house: Stack) -> Iterator[httpx.Client]:
    """A client with its key in Authorization; paths are below the root."""
    with at_root(house, {"Authorization": f"Bearer {house.key}"}) as client:
        yield client


@pytest.fixture
def api_key(house: Stack) -> Iterator[httpx.Client]:
    """A client with its key in x-api-key."""
    with at_root(house, {"x-api-key": house.key}) as client:
        yield client


def at_root(house: Stack, headers: dict[str, str]) -> httpx.Client:
    """A client with these headers; paths are below the root."""
    root = house.base_url.removesuffix("/v1")
    return httpx.Client(base_url=root, headers=headers, timeout=60, trust_env=False, verify=False)


def tenant(stack: Stack, name: str, tier: str = "enterprise", **more: Any) -> str:
    """A tenant of a tier with credit; its key, as `key_of` makes it. Not by commands, each of which
    takes a second to start."""
    with connect(stack.database_url) as connection:
        tenant_id = create_tenant(connection, name, tier=tier)
        add_credit(connection, tenant_id, nanos_from_usd("5"), "")
    return key_of(stack, name, **more)


def key_of(
    stack: Stack, name: str, *, scopes: Iterable[str] = TENANT_SCOPES, rpm: int | None = None
) -> str:
    """A further key of a tenant; `rpm`: its requests per minute."""
    with connect(stack.database_url) as connection:
        tenant_id = find_tenant(connection, name)
        assert tenant_id is not None
        limits = (rpm, None, None)
        return create_key(connection, tenant_id, "test", scopes=sorted(scopes), limits=limits).key


def http(stack: Stack, key: str, header: str = "Authorization") -> httpx.Client:
    """A client with this key, in one header or the other; paths are below /v1."""
    headers = {header: key if header == "x-api-key" else f"Bearer {key}"}
    return httpx.Client(
        base_url=stack.base_url, headers=headers, timeout=60, trust_env=False, verify=False
    )
