"""Issuers' keys and verifiers for the tests of tokens."""

import gevent
import pytest
from hypothesis import strategies as st

from app.accounts.jwt import Verifier
from app.errors import Unauthorized
from tests.issuer import AUDIENCE, TENANT_CLAIM, Issuer, ec_key, eventually, rsa_key

RSA, EC, OTHER_RSA = rsa_key("rsa-1"), ec_key("ec-1"), rsa_key("other-rsa")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
"""Any JSON, with the NaN and Infinity that Python's reader takes."""


def verifier_of(*issuers: Issuer) -> Verifier:
    """A verifier that has the keys of these issuers."""
    made = Verifier(tuple(issuer.url for issuer in issuers), (AUDIENCE, "second"), {}, TENANT_CLAIM)
    made.start()
    eventually(lambda: all(keys.keys is not None for keys in made._sets.values()), "the keys")
    return made


def end(verifier: Verifier) -> None:
    gevent.killall([keys._fetcher for keys in verifier._sets.values()])


def refused(verifier: Verifier, token: str) -> Unauthorized:
    """The error of a token that must be refused; it tells nothing of the token."""
    with pytest.raises(Unauthorized) as caught:
        verifier.verify(token)
    for part in token.split("."):
        assert len(part) < 8 or part not in caught.value.message
    return caught.value
