"""What the router sees of a prompt: a vector of its two ends, and how long it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from app.embedding.minilm import Embedder

Matrix = NDArray[np.float64]
TOKENS = 14
"""Tokens that are read, half from the start and half from the end: each costs about 0.25 ms of
CPU, and a decision must not take 5."""

CHARS_PER_TOKEN = 16
"""More characters than nearly all tokens have, so that no more of a long prompt is made tokens
than is read."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Vectors of length 1, (prompts, 384), and each prompt's ln(1 + characters)."""

    vectors: Matrix
    lengths: Matrix

    def points(self, length_weight: float) -> Matrix:
        """Where the prompts lie for the clusters, (prompts, 385): the vector, then the length times
        its weight."""
        return np.column_stack([self.vectors, length_weight * self.lengths])

    def rows(self, places: NDArray[np.intp]) -> "Prompts":
        """The prompts at these places alone."""
        return Prompts(self.vectors[places], self.lengths[places])


def excerpt(text: str, tokens: int = TOKENS) -> str:
    """The two ends of a text that are enough for so many tokens; a short one whole."""
    half = CHARS_PER_TOKEN * tokens
    return text if len(text) <= 2 * half else f"{text[:half]} {text[-half:]}"


def length_of(text: str) -> float:
    """ln(1 + characters)."""
    return math.log1p(len(text))


def read_prompts(embedder: "Embedder", texts: Sequence[str], tokens: int = TOKENS) -> Prompts:
    """What the router sees of each text. Raises ModelUnfit or OSError as the embedder does."""
    ids = embedder.tokens([excerpt(text, tokens) for text in texts])
    vectors = embedder.encode_tokens([_ends(found, tokens) for found in ids])
    lengths = np.array([length_of(text) for text in texts])
    return Prompts(vectors.astype(np.float64), lengths)


def _ends(ids: Sequence[int], tokens: int) -> Sequence[int]:
    """The first and the last of them, with the marks of start and end."""
    return ids if len(ids) <= tokens else [*ids[: tokens - tokens // 2], *ids[-(tokens // 2) :]]
