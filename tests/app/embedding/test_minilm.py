"""Vectors of texts, whatever their number, order and length."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_with
from hypothesis import strategies as st

from app.embedding.minilm import PLACES_MAX, ROWS_MAX, Embedder, _batches, embedder
from app.embedding.session import LONG
from app.embedding.weights import DIMENSIONS, TOKENS_MAX
from app.settings import Settings
from tests.app.embedding.texts import TEXTS

SAME = 0.99999


def test_vectors_have_384_numbers_and_length_1(embedder: Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_of_like_meaning_are_near(embedder: Embedder) -> None:
    dog, puppy, database = embedder.encode([TEXTS[4], TEXTS[5], TEXTS[3]])
    assert dog @ puppy > 0.7
    assert dog @ database < 0.3


def test_a_text_has_its_vector_alone_and_among_others(embedder: Embedder) -> None:
    texts = TEXTS * 6
    together = embedder.encode(texts)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    cosines = (together * np.concatenate([alone] * 6)).sum(axis=1)
    assert cosines.min() > SAME


def test_no_text_has_no_vector(embedder: Embedder) -> None:
    assert embedder.encode([]).shape == (0, DIMENSIONS)


def test_of_a_long_text_the_first_256_tokens_count(embedder: Embedder) -> None:
    begun = "moon " * (TOKENS_MAX - 2)
    long, exact, other = embedder.encode([begun + "sea " * 50, begun, begun + "moon"])
    assert long @ exact > SAME
    assert other @ exact > SAME
    assert embedder.encode([begun[:-5] + "sea"])[0] @ exact < SAME


def test_tokens_are_counted_with_start_and_end(embedder: Embedder) -> None:
    assert embedder.count_tokens(["", "moon", "moon moon", "moon " * 9000]) == [2, 3, 4, 9002]


@pytest.mark.parametrize(
    "text",
    [
        "moon " * 9000,
        "embeddings of it, " * 3000,
        "a" * 3 * LONG,
        " " * 3 * LONG + "moon",
        "moon " * 200 + "a" * 2 * LONG + " sea" * 300,
        ("moon " * 250).ljust(LONG - 50) + "ab" * 100,
    ],
    ids=["words", "pieces", "one word", "blanks", "a long word between", "a word that is cut"],
)
def test_megabytes_are_not_read_for_their_first_tokens(embedder: Embedder, text: str) -> None:
    [found] = embedder.tokens([text])
    [whole] = embedder._loaded().tokens([text])
    assert found[:TOKENS_MAX] == whole[:TOKENS_MAX]
    assert (len(found) > TOKENS_MAX) == (len(whole) > TOKENS_MAX)
    assert found[-1] == whole[-1]
    assert len(found) == min(len(whole), TOKENS_MAX + 1)


@given_with(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(2, TOKENS_MAX), max_size=150))
def test_every_text_is_in_one_batch_of_bounded_size(lengths: list[int]) -> None:
    batches = list(_batches(lengths))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert 0 < len(batch) <= ROWS_MAX
        assert len(batch) * longest <= PLACES_MAX


def test_a_process_loads_the_model_of_its_data_directory_once(home: Path) -> None:
    now = Settings(data_dir=home)
    assert embedder(now) is embedder(Settings(data_dir=home))
    assert embedder(now).encode(["moon"]).shape == (1, DIMENSIONS)
    assert len(list((home / "models").glob("*.onnx"))) == 1


def test_nothing_heavy_is_loaded_before_the_first_text() -> None:
    code = (
        "import sys, app.main, workers.providers.registry, app.embedding.minilm; "
        "print({'numpy', 'onnx', 'onnxruntime', 'tokenizers'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
