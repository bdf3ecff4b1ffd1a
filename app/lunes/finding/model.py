"""What is searched in lunes, and what is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.ranking.fusion import Fused, Fusion

FUSION = Fusion(meaning=0.5, words=0.5)
"""The house's weights, for lunes that have none of their own."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A lune as it is searched. `seq`: its number; `fusion`: its own weights, if it has any."""

    seq: int
    id: str
    name: str
    fusion: dict[str, float] | None
    passages: int
    words: int


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that was found, with its document. `score` is the sum of its parts, each from 0 to
    its weight, and the weights sum to 1."""

    seq: int
    lune_id: str
    document_id: str
    title: str | None
    url: str | None
    metadata: dict[str, Any]
    ordinal: int
    heading: str
    content: str
    start_at: int
    end_at: int
    page: int | None
    parts: Fused

    @property
    def score(self) -> float:
        return self.parts.score

    @property
    def source_url(self) -> str:
        """Where a reader finds it: the document's URL, or its path here."""
        return self.url or f"/v1/lunes/{self.lune_id}/documents/{self.document_id}"


def fusion_of(given: dict[str, float] | None) -> Fusion:
    """Weights as a lune or a request tells them, which then sum to 1; None: the house's."""
    if given is None:
        return FUSION
    whole = given["meaning"] + given["words"]
    return Fusion(given["meaning"] / whole, given["words"] / whole)


def fusion_for(shelves: Sequence[Shelf]) -> Fusion:
    """The weights for a search in several lunes: the mean of theirs."""
    fusions = [fusion_of(shelf.fusion) for shelf in shelves]
    if not fusions:
        return FUSION
    meaning = sum(fusion.meaning for fusion in fusions) / len(fusions)
    return Fusion(meaning, 1 - meaning)
