import math

import numpy as np

from app.embedding.minilm import Embedder
from app.uniroute.prompts import TOKENS, excerpt, read_prompts

LONG = "Count the moons of Jupiter. " * 4000


def test_a_short_prompt_is_read_whole(embedder: Embedder) -> None:
    text = "Which moon is the largest?"
    assert excerpt(text) == text
    prompts = read_prompts(embedder, [text])
    assert np.allclose(prompts.vectors, embedder.encode([text]), atol=1e-5)
    assert prompts.lengths.tolist() == [math.log1p(len(text))]


def test_both_ends_of_a_long_prompt_count_and_its_middle_does_not(embedder: Embedder) -> None:
    texts = [
        LONG,
        f"{LONG}Now write Python. {LONG}",
        f"Write Python that counts moons, please! {LONG}",
        f"{LONG} Write Python that counts moons!",
    ]
    same, inner, start, end = read_prompts(embedder, texts).vectors
    assert same @ inner > 0.9999
    assert same @ start < 0.95
    assert same @ end < 0.95


def test_no_more_tokens_than_are_read_are_paid_for(embedder: Embedder) -> None:
    assert len(excerpt(LONG)) < 40 * TOKENS
    assert excerpt(excerpt(LONG)) == excerpt(LONG)


def test_points_are_vectors_and_the_length_times_its_weight(embedder: Embedder) -> None:
    prompts = read_prompts(embedder, ["one", "one and another"])
    points = prompts.points(0.5)
    assert points.shape == (2, 385)
    assert np.array_equal(points[:, -1], prompts.lengths / 2)
    assert (prompts.points(0.0)[:, -1] == 0).all()
