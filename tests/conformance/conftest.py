"""Whole stacks, and the real OpenAI client pointed at one with nothing but two settings."""

import json
from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from tests.issuer import AUDIENCE, Issuer, ec_key, rsa_key
from tests.stacks import Stack


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
    with Stack(env) as stack:
        yield stack


def tenant(stack: Stack, name: str, tier: str = "enterprise", *more: str) -> str:
    """A tenant of a tier with credit; its key, made with the options `more`."""
    assert stack.command("tenants", "create", name, "--tier", tier).returncode == 0
    assert stack.command("credit", "add", "5", "--tenant", name).returncode == 0
    return key_of(stack, name, *more)


def key_of(stack: Stack, name: str, *more: str) -> str:
    """A further key of a tenant."""
    made = stack.command("keys", "create", "--tenant", name, "--json", *more)
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["key"])


def http(stack: Stack, key: str, header: str = "Authorization") -> httpx.Client:
    """A client with this key, in one header or the other; paths are below /v1."""
    headers = {header: key if header == "x-api-key" else f"Bearer {key}"}
    return httpx.Client(
        base_url=stack.base_url, headers=headers, timeout=60, trust_env=False, verify=False
    )
