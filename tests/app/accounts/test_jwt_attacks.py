"""Tokens that must be refused: each attack by its name, and what hypothesis comes up with."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounts.jwt import Verifier
from app.errors import Unauthorized
from tests.app.accounts.tokens import EC, JSON, OTHER_RSA, RSA, refused
from tests.issuer import AUDIENCE, GONE, TENANT_CLAIM, Issuer, Key, b64, rsa_key, signed

Attack = Callable[[Issuer, Issuer], str]
"""Makes a token, given the issuer that is attacked and another that is known as well."""

PAST, FUTURE = 1_000_000_000, 4_000_000_000


def headed(header: dict[str, Any], key: Key = RSA, sign: object = GONE) -> Attack:
    """A token with these header fields, signed by `sign` in place of `key`."""
    return lambda issuer, other: issuer.token(header=header, key=key, sign=sign)


NO_ALGORITHM: tuple[Any, ...] = ("none", "None", "NONE", "nOnE", "", None, GONE, ["RS256"], {})
OTHER_ALGORITHM = ("rs256", "Rs256", "RS256 ", "RS384", "RS512", "PS256", "EdDSA", "ES256K")
FORMS_OF_THE_PUBLIC_KEY = {
    "PEM": RSA.pem,
    "PEM without its last newline": RSA.pem.rstrip(),
    "JWK bytes": json.dumps(RSA.jwk()).encode(),
    "modulus": urlsafe_b64decode(RSA.jwk()["n"] + "=="),
    "absence": b"",
}
UNKNOWN_KIDS = (
    "../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space",
    "' UNION SELECT 'key' --", "rsa-1'; DROP TABLE tenant; --", "rsa-1\x00", "RSA-1", " rsa-1",
    "http://169.254.169.254/", "|sleep 9", "", None, 1, ["rsa-1"], {"rsa-1": 1},
)  # fmt: skip
KEYS_BROUGHT_ALONG = {
    "jku": "http://127.0.0.1:1/jwks.json",
    "x5u": "http://127.0.0.1:1/cert.pem",
    "x5c": ["MIIB"],
    "jwk": RSA.jwk(),
    "crit": ["b64"],
}

ATTACKS: dict[str, Attack] = {
    **{f"alg {alg!r}, blank signature": headed({"alg": alg}, sign=b"") for alg in NO_ALGORITHM},
    **{f"alg {alg!r}, stripped signature": headed({"alg": alg}, sign=None) for alg in NO_ALGORITHM},
    **{f"alg {alg!r}, good signature": headed({"alg": alg}) for alg in NO_ALGORITHM},
    **{f"alg {alg!r}": headed({"alg": alg}) for alg in OTHER_ALGORITHM},
    **{
        f"{alg} by HMAC with the public key's {form}": headed({"alg": alg}, sign=secret)
        for form, secret in FORMS_OF_THE_PUBLIC_KEY.items()
        for alg in ("HS256", "RS256")
    },
    "HS256 with the EC key's PEM": headed({"alg": "HS256"}, EC, EC.pem),
    "ES256 with the RSA key": headed({"alg": "ES256"}),
    "ES256 by an EC key under the RSA key's kid": headed({"alg": "ES256"}, sign=EC),
    "RS256 with the EC key": headed({"alg": "RS256"}, EC),
    **{f"kid {kid!r}": headed({"kid": kid}) for kid in UNKNOWN_KIDS},
    "no kid": headed({"kid": GONE}),
    "kid of another issuer": headed({}, OTHER_RSA),
    "another issuer's key under a kid that both have": headed({}, sign=OTHER_RSA),
    "a stranger's key under a known kid": headed({}, sign=rsa_key("stranger")),
    "a key of A for a token of B": lambda a, b: a.token({"iss": b.url}, key=EC),
    "a key of A for a token of B under B's kid": lambda a, b: b.token(key=OTHER_RSA, sign=RSA),
    "a key of A for a token of B under both's kid": lambda a, b: a.token({"iss": b.url}),
    **{f"{name} header": headed({name: value}) for name, value in KEYS_BROUGHT_ALONG.items()},
    **{f"{name} header, null": headed({name: None}) for name in KEYS_BROUGHT_ALONG},
    "b64 header": headed({"b64": False}),
    "b64 header with crit": headed({"b64": False, "crit": ["b64"]}),
    **{f"typ {t!r}": headed({"typ": t}) for t in ("JWS", "secevent+jwt", "", None, 1, ["JWT"])},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_header_or_key_is_refused(
    verifier: Verifier, issuer: Issuer, other_issuer: Issuer, name: str
) -> None:
    refused(verifier, ATTACKS[name](issuer, other_issuer))


WRONG_CLAIMS: dict[str, tuple[Any, ...]] = {
    "iss": ("https://evil.example", "", None, 1, ["x"], {}, GONE),
    "aud": (
        "else",
        "",
        None,
        1,
        {},
        [],
        ["else"],
        [1],
        [AUDIENCE, 1],
        AUDIENCE[:-1],
        "MOONPOOL",
        GONE,
    ),
    "exp": (PAST, -1, GONE, None, "soon", str(FUTURE), True, [FUTURE], float("nan"), float("inf")),
    "nbf": (FUTURE, None, "soon", str(PAST), False, [], float("nan")),
    "iat": (FUTURE, None, "soon", str(PAST), False, [], float("inf")),
    "sub": (GONE, None, "", 1, ["user"], "nul\0", "\ud800"),
    TENANT_CLAIM: (GONE, None, "", 1, ["ten_1"], "nul\0", "\ud800"),
    "scope": (None, 1, {}, [1], [None], "nul\0"),
}


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        pytest.param(claim, value, id=f"{claim}={value!r}")
        for claim, values in WRONG_CLAIMS.items()
        for value in values
    ],
)
def test_a_wrong_claim_is_refused_though_the_signature_is_good(
    verifier: Verifier, issuer: Issuer, claim: str, value: Any, key: Key
) -> None:
    refused(verifier, issuer.token({claim: value}, key=key))


@pytest.mark.parametrize(("claim", "offset"), [("exp", -40), ("nbf", 40), ("iat", 40)])
def test_the_leeway_ends_after_thirty_seconds(
    verifier: Verifier, issuer: Issuer, claim: str, offset: int
) -> None:
    refused(verifier, issuer.token({claim: int(time.time()) + offset}))


def test_an_expired_token_is_called_so_and_only_if_it_was_genuine(
    verifier: Verifier, issuer: Issuer
) -> None:
    assert "expired" in refused(verifier, issuer.token({"exp": PAST})).message
    forged = issuer.token({"exp": PAST}, sign=OTHER_RSA)
    assert "expired" not in refused(verifier, forged).message


def test_a_missing_tenant_claim_is_named(verifier: Verifier, issuer: Issuer) -> None:
    assert TENANT_CLAIM in refused(verifier, issuer.token({TENANT_CLAIM: GONE})).message


def test_a_payload_of_another_token_is_refused(verifier: Verifier, issuer: Issuer) -> None:
    head, payload, signature = issuer.token().split(".")
    assert verifier.verify(f"{head}.{payload}.{signature}").tenant == "ten_1"
    richer = b64(json.dumps(issuer.claims(**{TENANT_CLAIM: "ten_2"})).encode())
    refused(verifier, f"{head}.{richer}.{signature}")


@pytest.mark.parametrize("signature", ["", ".", "A", "AA", "AAAA", "A" * 342, "A" * 86])
def test_a_stripped_or_blank_signature_is_refused(
    verifier: Verifier, issuer: Issuer, signature: str
) -> None:
    for key in (RSA, EC):
        data = issuer.token(key=key).rpartition(".")[0]
        refused(verifier, f"{data}.{signature}")
        refused(verifier, data)


def test_what_is_not_quite_base64url_is_refused(verifier: Verifier, issuer: Issuer) -> None:
    """Padding (RFC 7515 section 2), a line's end, and a text that UTF-8 cannot write."""
    token = issuer.token()
    for other in (token + "==", token + "\n", " " + token, token + "\ud800", "\ud800.b.c"):
        refused(verifier, other)


@pytest.mark.parametrize("part", ["null", "[]", "1", '"x"', "{", "", "[" * 3000, "\ud800"])
@pytest.mark.parametrize("place", [0, 1])
def test_parts_that_are_no_json_objects_are_refused(
    verifier: Verifier, issuer: Issuer, place: int, part: str
) -> None:
    parts = issuer.token().split(".")[:2]
    parts[place] = b64(part.encode("utf-8", "surrogatepass"))
    data = ".".join(parts)
    refused(verifier, f"{data}.{b64(RSA.sign(data.encode()))}")


@settings(deadline=None)
@given(
    st.text()
    | st.binary().map(lambda data: data.decode("latin-1"))
    | st.text("abcAQ.-_=", max_size=60)
    | st.lists(st.binary(max_size=30).map(b64), min_size=3, max_size=3).map(".".join)
)
def test_no_text_passes_or_upsets_the_verifier(verifier: Verifier, text: str) -> None:
    refused(verifier, text)


@settings(deadline=None)
@given(st.data())
def test_no_mutation_of_a_good_token_passes(
    verifier: Verifier, issuer: Issuer, data: st.DataObject
) -> None:
    token = issuer.token(key=data.draw(st.sampled_from([RSA, EC])))
    start = data.draw(st.integers(0, len(token)))
    end_ = data.draw(st.integers(start, min(len(token), start + 5)))
    put = data.draw(st.text("abcXYZ019-_.=", max_size=5) | st.text(max_size=2))
    mutated = token[:start] + put + token[end_:]
    if mutated != token:
        refused(verifier, mutated)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jku", "b64", "crit", "cty"]), JSON),
    st.dictionaries(
        st.sampled_from(
            ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "scope", "scp", TENANT_CLAIM]
        ),
        JSON,
    ),
    JSON,
)
def test_whatever_a_known_key_signs_there_is_an_answer(
    verifier: Verifier, issuer: Issuer, header: dict[str, Any], claims: dict[str, Any], other: Any
) -> None:
    good = {"alg": "ES256", "kid": EC.kid, "typ": "JWT"}
    for token in (
        signed({**good, **header}, issuer.claims(**claims), EC),
        signed(good, issuer.claims(**claims), EC),
        signed(good, other, EC),
        signed(other, issuer.claims(), EC),
    ):
        with suppress(Unauthorized):
            assert verifier.verify(token).issuer == issuer.url
