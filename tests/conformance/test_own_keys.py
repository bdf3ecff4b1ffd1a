"""A tenant's own key for a provider, and answers from the cache, against a whole stack."""

from typing import Any

import httpx
import pytest

from app.db.connect import connect
from tests.conformance.conftest import http, tenant
from tests.conformance.house import Provider
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("house")

MODEL = "answering"
BOTH = ("inference", "manage")


@pytest.fixture
def stack(house: Stack) -> Stack:
    return house


def ask(client: httpx.Client, text: str = "hi", **more: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    headers = {"X-Cache-TTL": more.pop("header")} if "header" in more else {}
    body.pop("header", None)
    return client.post("/chat/completions", json=body, headers=headers)


def test_calls_are_made_with_the_tenants_own_key_and_cost_a_share_here(
    stack: Stack, provider: Provider
) -> None:
    with http(stack, tenant(stack, "own", scopes=BOTH)) as client:
        assert ask(client, "before").json()["usage"]["total_cost_usd"] == 0.00102
        assert provider.keys[-1] == "Bearer sk-platform"
        brought = client.post(
            "/provider_keys", json={"provider": "local", "api_key": "sk-own-0123456789"}
        )
        assert (brought.status_code, brought.json()["hint"]) == (201, "6789")
        assert "sk-own" not in client.get("/provider_keys").text

        def with_own() -> bool:
            ask(client, "after")
            return provider.keys[-1] == "Bearer sk-own-0123456789"

        wait_for(with_own, 15, "the tenant's own key")
        answer = ask(client, "free")
        assert answer.json()["usage"]["total_cost_usd"] == 0.000102
        attempts = client.get(f"/jobs/{answer.headers['x-job-id']}/attempts").json()["data"]
        [call] = attempts[-1]["calls"]
        assert (call["own_key"], call["platform_cost_usd"]) == (True, 0)
        gone = client.delete(f"/provider_keys/{brought.json()['id']}")
        assert gone.json()["deleted"] is True


def test_a_refused_key_of_one_tenant_harms_no_other(stack: Stack, provider: Provider) -> None:
    with (
        http(stack, tenant(stack, "bad", scopes=BOTH)) as bad,
        http(stack, tenant(stack, "good")) as good,
    ):
        key = {"provider": "local", "api_key": "sk-bad-0123456789"}
        assert bad.post("/provider_keys", json=key).status_code == 201
        wait_for(lambda: ask(bad).status_code != 200, 15, "the refused key")
        for _ in range(12):
            answer = ask(bad)
            assert (answer.status_code, "wrong key" in answer.text) == (502, True)
        assert ask(good).status_code == 200


def test_a_provider_that_takes_no_key_is_refused_by_name(stack: Stack) -> None:
    with http(stack, tenant(stack, "none", scopes=BOTH)) as client:
        for name in ("simulator", "nowhere"):
            answer = client.post("/provider_keys", json={"provider": name, "api_key": "k"})
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == "provider"


def test_an_answer_is_told_again_for_a_share_within_its_tenant(
    stack: Stack, provider: Provider
) -> None:
    with (
        http(stack, tenant(stack, "cached")) as client,
        http(stack, tenant(stack, "else")) as other,
    ):
        first = ask(client, "same", cache_ttl=60)
        assert "cached_answer" not in first.json()["usage"]
        wait_for(
            lambda: "cached_answer" in ask(client, "same", cache_ttl=60).json()["usage"],
            10, "an answer from the cache",
        )  # fmt: skip
        calls = len(provider.keys)
        again = ask(client, "same", cache_ttl=60)
        assert again.json()["choices"] == first.json()["choices"]
        usage = again.json()["usage"]
        assert (usage["total_cost_usd"], usage["prompt_tokens"]) == (0.000255, 1000)
        assert usage["cached_answer"]["job_id"].startswith("job_")
        assert ask(client, "same", header="60").json()["choices"] == first.json()["choices"]
        streamed = ask(client, "same", cache_ttl=60, stream=True).text
        assert first.json()["choices"][0]["message"]["content"] in streamed
        attempts = client.get(f"/jobs/{again.headers['x-job-id']}/attempts").json()["data"]
        assert [call["outcome"] for call in attempts[-1]["calls"]] == ["hit"]
        assert len(provider.keys) == calls
        assert "cached_answer" not in ask(client, "same").json()["usage"]
        assert "cached_answer" not in ask(other, "same", cache_ttl=60).json()["usage"]
        assert len(provider.keys) == calls + 2


@pytest.mark.parametrize("value", ["0", "x", "100000"])
def test_a_wrong_ttl_is_refused_by_name(stack: Stack, value: str) -> None:
    with http(stack, stack.key) as client:
        answer = ask(client, header=value)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Cache-TTL")


def test_the_books_know_shares_and_images(stack: Stack) -> None:
    """Runs after the others, whose answers were charged in part."""
    with http(stack, stack.key) as client:
        drawn = client.post(
            "/images/generations", json={"prompt": "moon", "n": 2, "size": "256x256"}
        )
        assert drawn.status_code == 200, drawn.text
    assert stack.command("ledger", "verify").returncode == 0
    with connect(stack.database_url) as connection:
        kinds = connection.execute("SELECT DISTINCT billed FROM result").fetchall()
    assert {('{"images":2}',), ('{"share":100000}',), ('{"share":250000}',), (None,)} <= set(kinds)
