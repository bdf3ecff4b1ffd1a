"""Known holes of gateways, each by its number: this one does not have them."""

import hashlib
import json
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.db.connect import connect
from tests.conformance.conftest import http, key_of, tenant
from tests.issuer import Issuer, ec_key, rsa_key
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("two webs")

HEADERS = ("Authorization", "x-api-key")
QUICK: dict[str, Any] = {
    "model": "builtin/sim",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 4,
    "metadata": {"sim_tokens": "2"},
}


@pytest.fixture(scope="module")
def key(webs: Stack) -> str:
    return tenant(webs, "advised")


@pytest.fixture
def client(webs: Stack, key: str) -> Iterator[httpx.Client]:
    with http(webs, key) as opened:
        yield opened


def refused(webs: Stack, credential: str) -> None:
    """Neither header takes the credential, and neither breaks on it."""
    for header in HEADERS:
        with http(webs, credential, header) as stranger:
            for answer in (stranger.get("/models"), stranger.post("/chat/completions", json=QUICK)):
                assert answer.status_code == 401, f"{header}: {answer.text}"
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert credential not in answer.text


@pytest.mark.parametrize(
    "injected",
    [
        "' OR '1'='1",
        "' OR 1=1 --",
        "pk_live_'; DROP TABLE api_key; --",
        "pk_live_x' UNION SELECT id, id, id FROM api_key --",
        "%",
        "pk_live_%",
        "\\",
        "$1",
        "{{7*7}}",
        "pk_live_" + "a" * 500,
        "pk_live_" + "a" * 7000,
    ],
)
def test_cve_2026_42208_sql_in_the_bearer_is_a_wrong_key(webs: Stack, injected: str) -> None:
    refused(webs, injected)


def test_cve_2026_35030_keys_with_an_equal_beginning_are_different_keys(
    webs: Stack, key: str, client: httpx.Client
) -> None:
    assert client.get("/models").status_code == 200
    for cut in (20, 30, len(key) - 1):
        forged = key[:cut] + ("A" if key[cut] != "A" else "B") + key[cut + 1 :]
        assert forged[:cut] == key[:cut]
        refused(webs, forged)
        refused(webs, key[:cut])
    refused(webs, key + "A")
    other = tenant(webs, "same-beginning")
    twin = key[:30] + other[30:]
    with connect(webs.database_url) as connection:
        # Another tenant's key that begins as the first does.
        connection.execute(
            "UPDATE api_key SET hash = %s, prefix = %s WHERE hash = %s",
            (
                hashlib.sha256(twin.encode()).digest(),
                twin[:14],
                hashlib.sha256(other.encode()).digest(),
            ),
        )
    with http(webs, twin) as second:
        mine = client.post("/chat/completions", json=QUICK | {"background": True}).json()["id"]
        theirs = second.post("/chat/completions", json=QUICK | {"background": True}).json()["id"]
        assert client.get(f"/jobs/{theirs}").status_code == 404
        assert second.get(f"/jobs/{mine}").status_code == 404


def test_ghsa_69x8_the_stored_hash_is_not_a_key(webs: Stack, key: str) -> None:
    digest = hashlib.sha256(key.encode())
    raw = b64encode(digest.digest()).decode()
    for form in (digest.hexdigest(), raw, f"pk_live_{raw}", f"{key[:14]}{digest.hexdigest()}"):
        refused(webs, form)
    with http(webs, key) as client:
        assert digest.hexdigest() not in client.get("/keys").text


def test_cve_2026_35029_the_admin_api_is_not_for_tenants(client: httpx.Client) -> None:
    for path in ("/admin/tenants", "/admin/audit", "/admin/tiers"):
        assert client.get(path).status_code == 403
    answer = client.post("/admin/tenants", json={"name": "mine", "tier": "enterprise"})
    assert answer.status_code == 403


def test_cve_2026_47101_a_key_gives_no_scope_that_it_lacks(
    webs: Stack, client: httpx.Client
) -> None:
    assert client.post("/keys", json={"name": "x", "scopes": ["admin"]}).status_code == 403
    narrow = client.post("/keys", json={"name": "narrow", "scopes": ["manage"]}).json()["key"]
    with http(webs, narrow) as limited:
        for scopes in (["inference"], ["manage", "billing"], ["admin"]):
            refusal = limited.post("/keys", json={"name": "wide", "scopes": scopes})
            assert refusal.status_code == 403
            assert refusal.json()["error"]["param"] == "scopes"
        own = limited.post("/keys", json={"name": "same"})
        assert own.json()["scopes"] == ["manage"]
        # Nor by rotating one that has more.
        wide = client.post("/keys", json={"name": "wide"}).json()["id"]
        assert limited.post(f"/keys/{wide}/rotate").status_code == 403
        assert limited.post("/chat/completions", json=QUICK).status_code == 403


@pytest.mark.parametrize(
    "field",
    ["user_role", "tenant_id", "allowed_routes", "hash", "prefix", "created_by", "user_id", "key"],
)
def test_cve_2026_47102_a_field_that_is_not_the_clients_is_refused_by_name(
    client: httpx.Client, field: str
) -> None:
    made = client.post("/keys", json={"name": "plain"}).json()["id"]
    for path in ("/keys", f"/keys/{made}"):
        answer = client.post(path, json={"name": "x", field: "admin"})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "api_key", "extra_headers", "organization", "custom_llm_provider"],
)
def test_cve_2024_6587_a_body_does_not_choose_the_providers_address(
    client: httpx.Client, field: str
) -> None:
    for body in ({field: "http://127.0.0.1:1"}, {"extra_body": {field: "http://127.0.0.1:1"}}):
        answer = client.post("/chat/completions", json=QUICK | body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"].endswith(field)


def test_cve_2026_12772_a_revoked_key_is_refused_within_five_seconds_everywhere(
    webs: Stack, key: str
) -> None:
    with http(webs, key) as owner:
        made = owner.post("/keys", json={"name": "soon gone"}).json()
        tried = [http(webs, made["key"], header) for header in HEADERS * 8]
        # Sixteen connections: both processes have the key in mind.
        assert {client.get("/models").status_code for client in tried} == {200}
        assert owner.delete(f"/keys/{made['id']}").status_code == 200
    revoked = time.monotonic()
    for client in tried:
        wait_for(lambda c=client: c.get("/models").status_code == 401, 5, "the key refused")  # type: ignore[misc]
        client.close()
    assert time.monotonic() - revoked < 5


def test_cve_2026_45339_both_headers_bear_the_same_restrictions(webs: Stack, key: str) -> None:
    narrow = key_of(webs, "advised", scopes=("billing",))
    for header in HEADERS:
        with http(webs, narrow, header) as client:
            assert client.post("/chat/completions", json=QUICK).status_code == 403
            assert client.get("/billing/balance").status_code == 200


def test_cve_2022_29217_a_token_does_not_choose_its_algorithm(webs: Stack, issuer: Issuer) -> None:
    claims = {"custom:tenant_id": "advised"}
    good = issuer.token(claims)
    for header in HEADERS:
        with http(webs, good, header) as client:
            assert wait_for(lambda c=client: c.get("/models").status_code == 200, 10)  # type: ignore[misc]
            assert client.post("/chat/completions", json=QUICK).status_code == 200
    refused(webs, issuer.token(claims, header={"alg": "none"}, sign=b""))
    refused(webs, issuer.token(claims, header={"alg": "HS256"}, sign=rsa_key("rsa-1").pem))
    # CVE-2026-48523: an EC key for an RSA token, and the other way round.
    refused(webs, issuer.token(claims, header={"alg": "RS256"}, key=ec_key("ec-1")))
    refused(webs, good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"))


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "' UNION SELECT 'key' --", "rsa-1\x00", "", "RSA-1"]
)
def test_cve_2026_48524_a_kid_is_a_name_in_the_key_set_and_nothing_else(
    webs: Stack, issuer: Issuer, kid: str
) -> None:
    before = len(issuer.requests)
    claims = {"custom:tenant_id": "advised"}
    for number in range(20):
        refused_once(webs, issuer.token(claims, header={"kid": f"{kid}{number or ''}"}))
    # Random kids neither drop the set nor have it fetched each time.
    assert len(issuer.requests) - before <= 2
    with http(webs, issuer.token(claims)) as client:
        assert client.get("/models").status_code == 200


def refused_once(webs: Stack, credential: str) -> None:
    with http(webs, credential) as stranger:
        assert stranger.get("/models").status_code == 401


def test_ghsa_xqmj_a_template_in_a_prompt_is_text(client: httpx.Client) -> None:
    for text in (
        "{{7*7}}",
        "{% for x in ().__class__.__mro__ %}x{% endfor %}",
        "${7*7}",
        "<%= 7*7 %>",
    ):
        body = QUICK | {"messages": [{"role": "user", "content": text}], "background": True}
        answer = client.post("/chat/completions", json=body)
        assert answer.status_code == 202
        assert "49" not in json.dumps(answer.json()["metadata"])
        with_it = client.post("/apps", json={"id": text, "name": text})
        assert with_it.status_code in (201, 400)
        assert "49" not in with_it.json().get("name", "")


def test_cve_2026_48710_the_host_header_is_not_believed(client: httpx.Client) -> None:
    body = QUICK | {"background": True}
    answer = client.post("/chat/completions", json=body, headers={"Host": "evil.example"})
    assert "evil.example" not in answer.text
    assert answer.headers["Location"].startswith("/v1/jobs/")
