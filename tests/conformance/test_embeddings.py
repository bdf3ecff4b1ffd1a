"""openai-python's embeddings against a whole stack."""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.conformance.conftest import http
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

MODEL = "all-MiniLM-L6-v2"
TEXTS = ["A dog plays in the garden.", "In the garden a puppy is playing.", "Interest rates fell."]


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_vectors_come_as_base64_unasked_and_are_unpacked(client: OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model=MODEL, input=TEXTS)
    assert b'"encoding_format":"base64"' in raw.http_request.content.replace(b" ", b"")
    assert isinstance(raw.http_response.json()["data"][0]["embedding"], str)
    answer = raw.parse()
    assert (answer.object, answer.model) == ("list", MODEL)
    assert [one.index for one in answer.data] == [0, 1, 2]
    dog, puppy, rates = (one.embedding for one in answer.data)
    assert len(dog) == 384
    assert near(dog, dog) == pytest.approx(1, abs=1e-5)
    assert near(dog, puppy) > 0.7 > 0.3 > near(dog, rates)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 20
    assert (answer.usage.model_extra or {})["total_cost_usd"] > 0


def test_floats_are_the_same_numbers(client: OpenAI) -> None:
    packed = client.embeddings.create(model=MODEL, input=TEXTS[0])
    floats = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(packed.data[0].embedding, rel=1e-6)


def test_fewer_dimensions(client: OpenAI) -> None:
    [one] = client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=64).data
    assert len(one.embedding) == 64
    assert near(one.embedding, one.embedding) == pytest.approx(1, abs=1e-5)


def test_a_background_job(client: OpenAI, stack: Stack) -> None:
    raw = client.embeddings.with_raw_response.create(
        model=MODEL, input=TEXTS, extra_body={"background": True}
    )
    assert raw.http_response.status_code == 202
    path = f"/jobs/{raw.http_response.json()['id']}"

    def job(plain: httpx.Client) -> dict[str, Any]:
        told: dict[str, Any] = plain.get(path).json()
        return told

    with http(stack, stack.key) as plain:
        wait_for(lambda: job(plain)["status"] == "completed", 30, "the vectors")
        done = job(plain)
    assert (done["kind"], len(done["result"]["data"])) == ("embedding", 3)
    now = client.embeddings.with_raw_response.create(model=MODEL, input=TEXTS).http_response.json()
    assert done["result"]["data"] == now["data"]


def test_what_is_too_long_is_told_by_its_place(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input=["moon", "moon " * 300])
    assert caught.value.param == "input.1"
    cut = client.embeddings.create(model=MODEL, input="moon " * 300, extra_body={"truncate": True})
    assert cut.usage.prompt_tokens == 256


def test_token_ids_are_for_other_models(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input=[[1, 2], [3]])
    assert caught.value.param == "input"
