"""Tokens: whose are taken, for how long they are remembered, and whose keys prove them."""

import json
import re
import time
from typing import Any

import gevent
import jwt as pyjwt
import pytest

from app.accounts import jwt as ours
from app.accounts.jwt import TOKEN_MAX, Claims, Verifier, looks_like_jwt
from app.errors import Unavailable
from app.settings import Settings
from tests.app.accounts.conftest import Clock
from tests.app.accounts.tokens import EC, OTHER_RSA, RSA, end, refused, verifier_of
from tests.issuer import AUDIENCE, GONE, TENANT_CLAIM, Issuer, eventually, rsa_key


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_good_token_says_who_calls(verifier: Verifier, issuer: Issuer, key: Any) -> None:
    wanted = Claims(issuer.url, "user-1", "ten_1", frozenset({"chat", "models"}))
    assert verifier.verify(issuer.token(key=key)) == wanted
    # As PyJWT itself makes it.
    token = pyjwt.encode(issuer.claims(), key.private, key.algorithm, {"kid": key.kid})
    assert verifier.verify(token) == wanted


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": GONE}, set()),
        ({"scope": ""}, set()),
        ({"scope": "one"}, {"one"}),
        ({"scope": GONE, "scp": ["one", "two"]}, {"one", "two"}),
        ({"scope": GONE, "scp": "one two"}, {"one", "two"}),
    ],
)
def test_scopes_come_from_scope_or_scp(
    verifier: Verifier, issuer: Issuer, claims: dict[str, Any], scopes: set[str]
) -> None:
    assert verifier.verify(issuer.token(claims)).scopes == scopes


@pytest.mark.parametrize("type_", ["JWT", "jwt", "at+jwt", "AT+JWT", GONE])
def test_the_types_of_id_and_access_tokens_are_taken(
    verifier: Verifier, issuer: Issuer, type_: object
) -> None:
    assert verifier.verify(issuer.token(header={"typ": type_})).tenant == "ten_1"


@pytest.mark.parametrize("aud", [AUDIENCE, "second", [AUDIENCE], ["else", "second"]])
def test_one_of_the_audiences_is_enough(verifier: Verifier, issuer: Issuer, aud: Any) -> None:
    assert verifier.verify(issuer.token({"aud": aud})).subject == "user-1"


@pytest.mark.parametrize(
    ("claim", "offset"), [("exp", -15), ("nbf", 20), ("iat", 20), ("exp", 0.5)]
)
def test_clocks_may_differ_by_thirty_seconds(
    verifier: Verifier, issuer: Issuer, claim: str, offset: float
) -> None:
    assert verifier.verify(issuer.token({claim: int(time.time()) + offset})).tenant == "ten_1"


def test_an_expiry_beyond_any_calendar_is_no_error(verifier: Verifier, issuer: Issuer) -> None:
    for exp in (10**400, 1e308):
        assert verifier.verify(issuer.token({"exp": exp})).tenant == "ten_1"


def test_each_of_two_issuers_with_one_kid_proves_its_own_tokens(
    verifier: Verifier, issuer: Issuer, other_issuer: Issuer
) -> None:
    assert verifier.verify(issuer.token()).issuer == issuer.url
    shared = other_issuer.token(header={"kid": RSA.kid}, key=OTHER_RSA)
    assert verifier.verify(shared).issuer == other_issuer.url


def test_a_token_may_have_8192_characters_and_no_more(verifier: Verifier, issuer: Issuer) -> None:
    room = (TOKEN_MAX - len(issuer.token({"x": ""}))) * 3 // 4
    fits, above = (issuer.token({"x": "x" * size}) for size in (room - 1, room + 2))
    assert TOKEN_MAX - 4 < len(fits) <= TOKEN_MAX < len(above)
    assert verifier.verify(fits).tenant == "ten_1"
    refused(verifier, above)


def test_before_the_first_keys_a_token_is_not_refused_but_asked_to_come_again(own: Issuer) -> None:
    own.open.clear()
    verifier = Verifier((own.url,), (AUDIENCE,), {}, TENANT_CLAIM)
    with pytest.raises(Unavailable) as caught:
        verifier.verify(own.token())
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert own.requests == [], "the request itself asked the issuer"
    refused(verifier, "no.to.ken")
    refused(verifier, own.token({"iss": "https://evil.example"}))
    own.open.set()
    eventually(lambda: verifier._sets[own.url].keys, "the keys")
    assert verifier.verify(own.token()).tenant == "ten_1"
    end(verifier)


def test_an_issuer_without_keys_yet_does_not_hold_up_another(issuer: Issuer, own: Issuer) -> None:
    own.status = 500
    verifier = Verifier((own.url, issuer.url), (AUDIENCE,), {}, TENANT_CLAIM)
    verifier.start()
    eventually(lambda: verifier._sets[issuer.url].keys and own.requests, "keys")
    assert verifier.verify(issuer.token()).issuer == issuer.url
    with pytest.raises(Unavailable):
        verifier.verify(own.token())
    end(verifier)


def test_random_kids_neither_wipe_the_set_nor_hammer_the_issuer(own: Issuer) -> None:
    verifier = verifier_of(own)
    assert len(own.requests) == 1
    for n in range(200):
        refused(verifier, own.token(header={"kid": f"random-{n}"}, key=EC))
        gevent.sleep(0)
    eventually(lambda: len(own.requests) == 2, "the one refresh")
    gevent.sleep(0.05)
    assert len(own.requests) == 2
    assert verifier.verify(own.token()).tenant == "ten_1"
    end(verifier)


def test_a_token_that_no_key_could_prove_makes_no_request(own: Issuer) -> None:
    verifier = verifier_of(own)
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"jku": own.jwks_url}, {"typ": "x"}):
        refused(verifier, own.token(header={"kid": "new", **header}))
    refused(verifier, own.token({"iss": "http://127.0.0.1:1"}, {"kid": "new"}))
    refused(verifier, own.token(header={"kid": GONE}))
    gevent.sleep(0.05)
    assert len(own.requests) == 1
    end(verifier)


def test_a_rotation_is_picked_up_by_its_first_token_and_ends_the_old_key(own: Issuer) -> None:
    """Also for a token of the old key that was proved a moment before."""
    verifier = verifier_of(own)
    old, fresh = own.token(), rsa_key("rsa-2")
    assert verifier.verify(old).tenant == "ten_1"
    own.rotate(fresh)
    refused(verifier, own.token())
    eventually(lambda: fresh.kid in (verifier._sets[own.url].keys or {}), "the new key")
    assert verifier.verify(own.token()).tenant == "ten_1"
    refused(verifier, old)
    end(verifier)


def test_a_kid_that_got_another_key_ends_the_tokens_of_the_first(own: Issuer) -> None:
    verifier = verifier_of(own)
    old = own.token()
    verifier.verify(old)
    before = verifier._sets[own.url].keys
    own.body = json.dumps({"keys": [OTHER_RSA.jwk(kid=RSA.kid)]}).encode()
    verifier._sets[own.url].ask()
    eventually(lambda: verifier._sets[own.url].keys is not before, "the new set")
    refused(verifier, old)
    end(verifier)


def test_a_good_token_is_proved_once_in_thirty_seconds(
    verifier: Verifier, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = []
    real = pyjwt.decode

    def counted(*args: Any, **options: Any) -> Any:
        proofs.append(args)
        return real(*args, **options)

    monkeypatch.setattr(pyjwt, "decode", counted)
    token = issuer.token({"jti": "once"})
    first = verifier.verify(token)
    clock.passed = 29.0
    assert verifier.verify(token) == first
    assert len(proofs) == 1
    clock.passed = 31.0
    assert verifier.verify(token) == first
    assert len(proofs) == 2


@pytest.mark.parametrize(("left", "passed"), [(10, 41), (-20, 15)])
def test_an_expired_token_does_not_pass_from_memory(
    verifier: Verifier, issuer: Issuer, clock: Clock, left: int, passed: float
) -> None:
    token = issuer.token({"exp": int(time.time()) + left})
    verifier.verify(token)
    clock.passed = passed
    assert "expired" in refused(verifier, token).message


def test_a_token_that_shares_all_but_its_end_does_not_pass_from_memory(
    verifier: Verifier, issuer: Issuer
) -> None:
    token = issuer.token()
    verifier.verify(token)
    refused(verifier, token[:-1] + ("A" if token[-1] != "A" else "Q"))
    refused(verifier, token + "AAAA")
    refused(verifier, token[:-4])


def test_memory_stays_within_its_bound(
    verifier: Verifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "CACHE_SIZE", 5)
    for n in range(20):
        verifier.verify(issuer.token({"jti": str(n)}, key=EC))
        assert len(verifier._proved) <= 5
    refused(verifier, "a.b.c")
    assert len(verifier._proved) <= 5


@pytest.mark.parametrize("credential", ["a.b.c", "A-_9.e30.x"])
def test_a_jwt_is_known_by_its_shape(credential: str) -> None:
    assert looks_like_jwt(credential)


@pytest.mark.parametrize(
    "credential",
    ["", "..", "a.b.", ".b.c", "a..c", "a.b", "a.b.c.d", "a.b.c\n", "a.b.c=", "a.b.ü", "a b.c.d",
     "pk_live_abc-DEF_123"],
)  # fmt: skip
def test_other_credentials_are_not_taken_for_a_jwt(credential: str) -> None:
    assert not looks_like_jwt(credential)


def test_without_issuers_in_the_settings_there_is_no_verifier() -> None:
    assert Verifier.from_settings(Settings()) is None


def test_the_settings_name_issuers_audiences_and_the_tenants_claim(own: Issuer) -> None:
    """The issuer keeps its trailing slash in `iss`; the key set is one level below it."""
    name = own.url + "/"
    chosen = Settings(
        jwt_issuers=f" {name} , https://b.example",
        jwt_audiences="one, two",
        jwt_tenant_claim="org",
    )
    verifier = Verifier.from_settings(chosen)
    assert verifier is not None
    assert verifier._sets["https://b.example"].url == "https://b.example/.well-known/jwks.json"
    assert verifier._sets[name].url == own.jwks_url
    verifier._sets[name].start()
    eventually(lambda: verifier._sets[name].keys, "the keys")
    del verifier._sets["https://b.example"]
    assert verifier.verify(own.token({"iss": name, "aud": "two", "org": "ten_9"})).tenant == "ten_9"
    refused(verifier, own.token({"aud": "two", "org": "ten_9"}))
    end(verifier)


def test_the_only_issuers_key_set_may_be_elsewhere(own: Issuer) -> None:
    chosen = Settings(
        jwt_issuers="https://a.example", jwt_audiences=AUDIENCE, jwt_jwks_url=own.jwks_url
    )
    verifier = Verifier.from_settings(chosen)
    assert verifier is not None
    verifier.start()
    eventually(lambda: verifier._sets["https://a.example"].keys, "the keys")
    assert verifier.verify(own.token({"iss": "https://a.example"})).issuer == "https://a.example"
    end(verifier)


@pytest.mark.parametrize(("issuers", "audiences"), [((), ("a",)), (("https://a",), ())])
def test_a_verifier_that_would_check_nothing_is_not_made(
    issuers: tuple[str, ...], audiences: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=re.escape("issuers and audiences")):
        Verifier(issuers, audiences, {}, TENANT_CLAIM)
