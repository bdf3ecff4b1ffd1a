"""Extractive summaries: the sentences that most others resemble, in the order they were said in.

LexRank: Erkan and Radev 2004, "LexRank: Graph-based Lexical Centrality as Salience in Text
Summarization", JAIR 22, in its continuous form, on cosines of embeddings in place of tf-idf. No
word is made up, and equal input gives an equal summary.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAMPING = 0.15
"""Chance of a jump to any sentence (section 3.2 of the paper: between 0.1 and 0.2)."""

ALIKE_MIN = 0.1
"""Cosines below are no edge of the graph, as in the paper's thresholds."""

REPEATS = 0.8
"""A sentence this near to one that was chosen adds nothing (the paper's reranker, section 5.1)."""

STEADY = 1e-7
ROUNDS_MAX = 200

WORDS_MIN = 3
SENTENCE_MAX = 400
"""Characters; a longer stretch without a full stop is a listing more than a sentence."""

SHARE = 0.2
CHOSEN_MIN, CHOSEN_MAX = 3, 8
"""Of so many sentences a summary is made: a fifth of all there are, within these bounds."""

_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")


def sentences(texts: Sequence[str]) -> list[str]:
    """The sentences of texts in their order, each once, without those of under WORDS_MIN words or
    over SENTENCE_MAX characters; if that leaves none, the beginning of each text."""
    found = [part.strip() for text in texts for part in _END.split(text)]
    whole = [s for s in found if len(s.split()) >= WORDS_MIN and len(s) <= SENTENCE_MAX]
    return list(dict.fromkeys(whole or [text.strip()[:SENTENCE_MAX] for text in texts]))


def ranks(vectors: "NDArray[np.float32]") -> "NDArray[np.float64]":
    """How central each of n sentences is, (n,), summing up to 1; `vectors` is (n, width), each of
    length 1.

    Unlike the paper's, the graph has no edges from a sentence to itself: they would let one that
    resembles no other keep its share. Such a one leads everywhere, as in PageRank.
    """
    import numpy as np

    count = len(vectors)
    alike = np.asarray(vectors, np.float64) @ np.asarray(vectors, np.float64).T
    alike[alike < ALIKE_MIN] = 0.0
    np.fill_diagonal(alike, 0.0)
    alike[alike.sum(axis=1) == 0] = 1.0
    walk = alike / alike.sum(axis=1, keepdims=True)
    found = np.full(count, 1.0 / count)
    for _ in range(ROUNDS_MAX):
        after = DAMPING / count + (1 - DAMPING) * (walk.T @ found)
        moved = float(np.abs(after - found).sum())
        found = after
        if moved < STEADY:
            break
    return found


def central(vectors: "NDArray[np.float32]") -> list[int]:
    """The places of the sentences that stand for all, in order; none is near to another."""
    wanted = max(CHOSEN_MIN, min(CHOSEN_MAX, round(SHARE * len(vectors))))
    # Rounded, so that noise in the last digit does not choose between equals.
    rank = ranks(vectors).round(6)
    chosen: list[int] = []
    for place in sorted(range(len(vectors)), key=lambda at: (-rank[at], at)):
        if len(chosen) == wanted:
            break
        if all(float(vectors[place] @ vectors[other]) < REPEATS for other in chosen):
            chosen.append(place)
    return sorted(chosen)
