"""Issuers of tokens, and a verifier that has their keys."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Self

import pytest

from app.accounts import jwt as ours
from app.accounts.jwt import Verifier
from tests.app.accounts.tokens import EC, OTHER_RSA, RSA, end, verifier_of
from tests.issuer import Issuer, ec_key


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer with an RSA and an EC key, which no test changes."""
    with Issuer(RSA, EC) as running:
        yield running


@pytest.fixture(scope="module")
def other_issuer() -> Iterator[Issuer]:
    """A second known issuer; one of its kids is the first's too."""
    with Issuer(OTHER_RSA, ec_key("ec-of-other")) as running:
        running.body = json.dumps(
            {"keys": [OTHER_RSA.jwk(), OTHER_RSA.jwk(kid=RSA.kid), ec_key("ec-of-other").jwk()]}
        ).encode()
        yield running


@pytest.fixture(scope="module")
def verifier(issuer: Issuer, other_issuer: Issuer) -> Iterator[Verifier]:
    made = verifier_of(issuer, other_issuer)
    yield made
    end(made)


@pytest.fixture
def own() -> Iterator[Issuer]:
    """An issuer that the test may change."""
    with Issuer(RSA, EC) as running:
        yield running


class Clock:
    """Lets time pass for the verifier and for PyJWT."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        clock = self

        class Shifted(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + timedelta(seconds=clock.passed)

        there = SimpleNamespace(
            time=lambda: time.time() + self.passed, monotonic=lambda: time.monotonic() + self.passed
        )
        monkeypatch.setattr(ours, "time", there)
        monkeypatch.setattr("jwt.api_jwt.datetime", Shifted)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
