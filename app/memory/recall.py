"""How what is asked finds what is remembered: the weights of a score, all in this place.

A memory's score is the sum of these parts:

- `meaning`: the cosine of its vector and the question's, and `words`: its BM25 score. Each is
  divided by the highest among the candidates; the lowest counts as 0, which is the least that the
  measure can be for a text that has anything to do with the question (Bruch, Gai, Ingber 2023, An
  Analysis of Fusion Functions for Hybrid Retrieval, section 4).
- `neighbours`: what the turns around it in its session lend it of these two.
- `recency` and `importance` (Park et al. 2023, Generative Agents, section 4.1), which weigh little:
  what happened long ago is as likely to be asked for.
- `spread`: what it loses for each better memory of the same session, so that one session does not
  take all places (after Carbonell, Goldstein 1998, The Use of MMR).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.catalogue.tokens import estimate_tokens
from app.memory.model import Recalled

WEIGHTS: Mapping[str, float] = {
    "meaning": 0.4,
    "words": 0.6,
    "neighbours": 0.2,
    "recency": 0.05,
    "importance": 0.1,
    "spread": 0.02,
}
"""The weight of each part. That of `neighbours` is lent at distance 1 and its square at distance 2.
The first three and `spread` were chosen on two conversations of LoCoMo, each alone and with the
other's sessions mixed in, told of the same persons."""

K1, B = 0.9, 0.4
"""BM25's saturation and length (Robertson, Zaragoza 2009, The Probabilistic Relevance Framework,
section 3), with the values of Trotman, Puurula, Burgess 2014, Improvements to BM25 and Language
Models Examined."""

STAYS_PER_HOUR = 0.995
"""What is left of a memory's recency after an hour without use (Park et al. 2023)."""

CANDIDATES = 40
"""How many are taken for their meaning, and how many for their words; all others score nothing."""

POSTINGS_MAX = 4000
"""How many memories the lexemes that choose candidates may have in all. Beyond it stand the most
common lexemes, which count in a candidate's score but choose none."""

COMMON = 4000
"""A lexeme that more memories of a shelf have is not counted at each search."""

COUNTED_DAYS = 1.0
"""After so long a common lexeme is counted anew."""

EXACT_MAX = 8000
"""Up to so many memories every vector is compared; among more the index finds the nearest."""

QUERY_CHARS_MAX = 1000
"""What is read of a question: about the 256 tokens that the model of vectors reads."""


@dataclass(frozen=True, slots=True)
class Count:
    """A lexeme in the memories that are searched: how many of them have it, of how many words."""

    memories: int
    words: int


@dataclass(frozen=True, slots=True)
class Words:
    """What BM25 needs to know of a question: the weight of each lexeme that the memories have, the
    lexemes that choose candidates, and the mean length of a memory in words."""

    weights: dict[str, float]
    choosing: list[str]
    mean_words: float


def idf(total: int, having: int) -> float:
    """The weight of a lexeme that `having` of `total` texts have: Robertson's and Sparck Jones's,
    with one added under the logarithm, so that it is never negative."""
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


def words_of(total: Count, counts: Mapping[str, Count]) -> Words:
    """The question's lexemes against all that is searched. The rarest choose the candidates: at
    least one does, and as many as have POSTINGS_MAX memories together."""
    rarest = sorted(counts, key=lambda lexeme: (counts[lexeme].memories, lexeme))
    choosing: list[str] = []
    reached = 0
    for lexeme in rarest:
        reached += counts[lexeme].memories
        if choosing and reached > POSTINGS_MAX:
            break
        choosing.append(lexeme)
    # The counts of common lexemes may be a little off, each by itself.
    most = max([total.memories, *(count.memories for count in counts.values())])
    weights = {lexeme: idf(most, counts[lexeme].memories) for lexeme in rarest}
    return Words(weights, choosing, max(1.0, total.words / max(1, total.memories)))


def within(found: Sequence[Recalled], tokens: int | None) -> list[Recalled]:
    """Of what was found, best first, what fits into so many tokens; what is too long is left out,
    and shorter ones behind it may still fit. None: all."""
    if tokens is None:
        return list(found)
    chosen, left = [], tokens
    for one in found:
        cost = estimate_tokens(one.memory.content)
        if cost <= left:
            chosen.append(one)
            left -= cost
    return chosen
