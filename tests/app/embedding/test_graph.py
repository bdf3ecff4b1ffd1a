"""The graph against the model in plain float32, and what eight bits leave of a number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.embedding.graph import BLOCK, ZERO, from_blocks, in_blocks
from app.embedding.minilm import Embedder
from bench import minilm as reference
from tests.app.embedding.texts import TEXTS

PUBLISHED = [0.06765693, 0.06349593, 0.04871314, 0.07930495, 0.03744806, 0.00265273]
"""The first numbers of "This is an example sentence" by sentence-transformers itself."""

COSINE_MIN = 0.998


def test_the_reference_gives_the_published_numbers(embedder: Embedder) -> None:
    [ids] = embedder.tokens(["This is an example sentence"])
    assert np.allclose(reference.vector(ids)[: len(PUBLISHED)], PUBLISHED, atol=1e-6)


def test_eight_bits_change_no_direction(embedder: Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    wanted = np.stack([reference.vector(ids) for ids in embedder.tokens(TEXTS)])
    cosines = dict(zip(TEXTS, (vectors * wanted).sum(axis=1), strict=True))
    assert {text: cosine for text, cosine in cosines.items() if cosine < COSINE_MIN} == {}
    assert np.abs(vectors @ vectors.T - wanted @ wanted.T).max() < 0.02


sizes = st.floats(2**-20, 2**10, width=32)
numbers = st.just(0.0) | sizes | sizes.map(lambda size: -size)


@given(arrays(np.float32, (3, 2 * BLOCK), elements=numbers))
def test_a_number_is_off_by_half_a_step_at_most(matrix: np.ndarray) -> None:
    bytes_, scales = in_blocks(matrix)
    assert bytes_.dtype == np.uint8
    assert (bytes_.shape, scales.shape) == ((3, 2, BLOCK), (3, 2))
    again = (bytes_.astype(np.float64) - ZERO) * scales[..., None]
    off = np.abs(again - matrix.reshape(again.shape))
    assert (off <= scales[..., None] * 0.501).all()
    most = np.abs(matrix.reshape(again.shape)).max(axis=2)
    assert (scales[most > 0] <= most[most > 0] / 126).all()


@given(arrays(np.float32, (3, 2 * BLOCK), elements=numbers))
def test_a_matrix_that_went_through_blocks_goes_through_them_unchanged(matrix: np.ndarray) -> None:
    bytes_, scales = in_blocks(matrix)
    once = from_blocks(bytes_, scales)
    assert once.shape == matrix.shape
    assert once.dtype == np.float32
    again, same = in_blocks(once)
    assert np.array_equal(again, bytes_)
    assert np.allclose(same, scales, rtol=1e-6)
