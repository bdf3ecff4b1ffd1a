"""BM25: how well the words of a text answer those of a question.

Postings and the score of one, the function `bm25`, stand in Postgres; here is what a question's
lexemes weigh.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

K1, B = 0.9, 0.4
"""Saturation and length, with the values of Trotman, Puurula, Burgess 2014, Improvements to BM25
and Language Models Examined."""

POSTINGS_MAX = 4000
"""How many texts the lexemes that choose candidates may have in all. Beyond it stand the most
common lexemes, which count in a candidate's score but choose none."""


@dataclass(frozen=True, slots=True)
class Count:
    """A lexeme in all that is searched: how many texts have it, of how many words."""

    texts: int
    words: int


@dataclass(frozen=True, slots=True)
class Words:
    """What BM25 needs to know of a question: the weight of each lexeme that the texts have, the
    lexemes that choose candidates, and the mean length of a text in words."""

    weights: dict[str, float]
    choosing: list[str]
    mean_words: float

    @property
    def given(self) -> dict[str, Any]:
        """What the function of Postgres is given of all texts."""
        return {"mean_words": self.mean_words, "k1": K1, "b": B}


def idf(total: int, having: int) -> float:
    """The weight of a lexeme that `having` of `total` texts have: Robertson's and Sparck Jones's,
    with one added under the logarithm, so that it is never negative."""
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


def words_of(total: Count, counts: Mapping[str, Count]) -> Words:
    """The question's lexemes against all that is searched. The rarest choose the candidates: at
    least one does, and as many as have POSTINGS_MAX texts together."""
    rarest = sorted(counts, key=lambda lexeme: (counts[lexeme].texts, lexeme))
    choosing: list[str] = []
    reached = 0
    for lexeme in rarest:
        reached += counts[lexeme].texts
        if choosing and reached > POSTINGS_MAX:
            break
        choosing.append(lexeme)
    # The counts of common lexemes may be a little off, each by itself.
    most = max([total.texts, *(count.texts for count in counts.values())])
    weights = {lexeme: idf(most, counts[lexeme].texts) for lexeme in rarest}
    return Words(weights, choosing, max(1.0, total.words / max(1, total.texts)))
