"""How meaning and words become one score, as a weighed sum.

Each measure is divided by its highest among the candidates; the lowest counts as 0, which is the
least that it can be for a text that has anything to do with the question (Bruch, Gai, Ingber 2023,
An Analysis of Fusion Functions for Hybrid Retrieval, section 4). Memory, where turns lend each
other of both measures, has the same in its own statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST = 1e-9
"""In place of a highest measure of 0."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """What each measure weighs; not both 0."""

    meaning: float
    words: float


@dataclass(frozen=True, slots=True)
class Fused:
    """What a candidate's measures came to, each already weighed."""

    meaning: float
    words: float

    @property
    def score(self) -> float:
        return self.meaning + self.words


def fused(measures: Mapping[int, tuple[float, float]], weights: Fusion) -> dict[int, Fused]:
    """The score of each candidate, best first; `measures` are its cosine and its BM25. Of equal
    ones that with the lower number comes first."""
    near = max([LEAST, *(cosine for cosine, _ in measures.values())])
    worded = max([LEAST, *(bm25 for _, bm25 in measures.values())])
    scores = {
        at: Fused(
            weights.meaning * (max(cosine, 0) / near), weights.words * (max(bm25, 0) / worded)
        )
        for at, (cosine, bm25) in measures.items()
    }
    return {at: scores[at] for at in sorted(scores, key=lambda at: (-scores[at].score, at))}
