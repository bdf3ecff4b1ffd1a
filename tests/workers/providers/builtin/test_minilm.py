"""The provider of embeddings that needs no key."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.embedding import weights
from app.embedding.minilm import Embedder
from app.embedding.weights import DIMENSIONS, TOKENS_MAX
from tests.conftest import short_folder
from workers.providers.base import Answer, Call, ProviderError, operator
from workers.providers.builtin.minilm import MiniLM

LONG = "moon " * (TOKENS_MAX - 1)


@pytest.fixture(scope="module")
def provider() -> Iterator[MiniLM]:
    with short_folder() as folder:
        yield MiniLM(Embedder(folder))


def embed(provider: MiniLM, asked: Any, **more: Any) -> Answer:
    request = {"input": asked, **more}
    return operator(provider, "embedding")(Call(request, "all-MiniLM-L6-v2"))


def vectors(provider: MiniLM, asked: Any, **more: Any) -> list[Any]:
    """The vectors as a client gets them."""
    body = orjson.loads(orjson.dumps(embed(provider, asked, **more).body))
    return [one["embedding"] for one in body["data"]]


def refusal(provider: MiniLM, asked: Any, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        embed(provider, asked, **more)
    assert (caught.value.kind, caught.value.status, caught.value.retryable) == (
        "invalid", 400, False,
    )  # fmt: skip
    return caught.value


def test_each_text_has_a_vector_in_its_place(provider: MiniLM) -> None:
    answer = embed(provider, ["moon", "a moon over the sea"])
    body = orjson.loads(orjson.dumps(answer.body))
    assert (set(body), body["object"]) == ({"object", "data"}, "list")
    assert [(one["object"], one["index"]) for one in body["data"]] == [
        ("embedding", 0), ("embedding", 1),
    ]  # fmt: skip
    assert answer.usage == {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}
    assert np.linalg.norm(body["data"][1]["embedding"]) == pytest.approx(1, abs=1e-6)
    assert vectors(provider, "moon") == vectors(provider, ["moon"])


def test_base64_holds_the_very_numbers_of_the_floats(provider: MiniLM) -> None:
    [floats] = vectors(provider, "moon", encoding_format="float")
    [packed] = vectors(provider, "moon", encoding_format="base64")
    assert isinstance(packed, str)
    told = np.frombuffer(base64.b64decode(packed), "<f4")
    assert told.tolist() == np.array(floats, np.float32).tolist()
    assert len(orjson.dumps(floats)) < 14 * DIMENSIONS


def test_fewer_dimensions_are_the_first_ones_at_length_1(provider: MiniLM) -> None:
    [whole] = np.array(vectors(provider, "moon"))
    [few] = np.array(vectors(provider, "moon", dimensions=7))
    assert few == pytest.approx(whole[:7] / np.linalg.norm(whole[:7]), abs=1e-6)
    assert vectors(provider, "moon", dimensions=DIMENSIONS) == vectors(provider, "moon")
    [one] = vectors(provider, "moon", dimensions=1)
    assert np.abs(one).tolist() == [1.0]


@pytest.mark.parametrize("dimensions", [0, DIMENSIONS + 1, True, 12.0, "7"])
def test_dimensions_that_it_has_not_are_refused(provider: MiniLM, dimensions: Any) -> None:
    error = refusal(provider, "moon", dimensions=dimensions)
    assert (error.param, "from 1 to 384" in error.message) == ("dimensions", True)


@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]], [["moon"]], None])
def test_what_is_no_text_is_refused(provider: MiniLM, ids: Any) -> None:
    assert refusal(provider, ids).param == "input"


@pytest.mark.parametrize(("asked", "param"), [(LONG, "input"), (["moon", LONG, LONG], "input.1")])
def test_a_text_that_is_too_long_is_refused_by_its_place(
    provider: MiniLM, asked: Any, param: str
) -> None:
    error = refusal(provider, asked, truncate=False)
    assert error.param == param
    assert "more than the 256 tokens" in error.message
    assert embed(provider, LONG[: -len("moon ")]).usage == {
        "prompt_tokens": TOKENS_MAX, "completion_tokens": 0, "total_tokens": TOKENS_MAX,
    }  # fmt: skip


def test_a_text_is_cut_where_that_is_asked_for(provider: MiniLM) -> None:
    answer = embed(provider, [LONG, "moon"], truncate=True)
    assert answer.usage is not None
    assert answer.usage["prompt_tokens"] == TOKENS_MAX + 3


def test_a_model_that_cannot_be_loaded_is_unavailable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_model")
    with pytest.raises(ProviderError, match="the package no_such_model is not installed") as caught:
        embed(MiniLM(Embedder(folder)), "moon")
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
