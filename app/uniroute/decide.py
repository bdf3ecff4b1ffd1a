"""Which model is to answer a prompt: the least of expected error + cost_weight * cost."""

import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import InvalidRequest
from app.uniroute.profile import Profile
from app.uniroute.prompts import excerpt, read_prompts

if TYPE_CHECKING:
    from app.embedding.minilm import Embedder

KEPT = 512
"""Prompts whose place among the clusters is kept, a few kilobytes each."""


@dataclass(frozen=True, slots=True)
class Score:
    """One candidate. `cost` is its price in shares of the dearest candidate's, `score` is
    `expected_error` + cost_weight * `cost`. `available`: it may be chosen; where another is, one
    that is not does not count as the dearest, and its `cost` may be more than 1."""

    model: str
    expected_error: float
    cost: float
    score: float
    available: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """`scores` are of all candidates, the chosen one first; `clusters` is how much of each cluster
    the prompt is, and `cluster_id` the one it is most of: none and None where the prompt could not
    be read. `cached`: its place among the clusters was known."""

    model: str
    expected_error: float
    cost_adjusted_score: float
    cluster_id: int | None
    reasoning: str
    scores: tuple[Score, ...]
    clusters: tuple[float, ...]
    profile: str
    cached: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    clusters: tuple[float, ...]
    expected: dict[str, float]
    nearest: int | None


class Router:
    """Decides by a profile. The place of a prompt among the clusters is kept, so that to ask again,
    with other candidates or another weight, needs no vector."""

    def __init__(self, profile: Profile, embedder: "Embedder") -> None:
        self.profile = profile
        self._version = profile.version
        self._vectors = profile.error_vectors
        self._usd = dict(zip(profile.models, profile.usd.tolist(), strict=True))
        self._embedder = embedder
        self._kept: OrderedDict[tuple[str, int], _Place] = OrderedDict()

    def decide(
        self,
        text: str,
        *,
        models: Collection[str] | None = None,
        cost_weight: float = 0.0,
        usd: Mapping[str, float] | None = None,
        unavailable: Collection[str] = (),
    ) -> Decision:
        """The decision among `models`, or all of the profile. `cost_weight` is the expected error
        that the whole price of the dearest candidate is worth: with 0.1, a model that is free may
        err on one prompt in ten more. `usd` are prices that stand over the profile's, in any unit
        that all candidates share. Of equals the cheaper is chosen, then the first by name.
        `unavailable`: those of `models` that are chosen only where all are.

        Raises InvalidRequest for a model without a profile and for a wrong weight, and as the
        embedder does.
        """
        _check(cost_weight)
        candidates = self._candidates(models)
        key = excerpt(text, self.profile.tokens), len(text)
        place = self._kept.get(key)
        cached = place is not None
        if place is None:
            place = self._kept[key] = self._find(*key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return self._decision(place, candidates, cost_weight, usd or {}, unavailable, cached)

    def decide_unread(
        self,
        *,
        models: Collection[str] | None = None,
        cost_weight: float = 0.0,
        usd: Mapping[str, float] | None = None,
        unavailable: Collection[str] = (),
    ) -> Decision:
        """As `decide`, by the models' means alone, for a prompt that could not be read."""
        _check(cost_weight)
        means = dict(zip(self.profile.models, self.profile.means.tolist(), strict=True))
        place, candidates = _Place((), means, None), self._candidates(models)
        return self._decision(place, candidates, cost_weight, usd or {}, unavailable, False)

    def _decision(
        self,
        place: _Place,
        candidates: list[str],
        cost_weight: float,
        usd: Mapping[str, float],
        unavailable: Collection[str],
        cached: bool,
    ) -> Decision:
        prices = {name: usd.get(name, self._usd[name]) for name in candidates}
        rivals = [name for name in candidates if name not in unavailable] or candidates
        dearest = max(prices[name] for name in rivals)
        scores = []
        for name in candidates:
            cost = prices[name] / dearest if dearest > 0 else 0.0
            error = place.expected[name]
            score = error + cost_weight * cost
            scores.append(Score(name, error, cost, score, name not in unavailable))
        scores.sort(key=lambda one: (not one.available, one.score, one.cost, one.model))
        best = scores[0]
        return Decision(
            best.model, best.expected_error, best.score, place.nearest,
            _reasoning(scores, place, cost_weight), tuple(scores), place.clusters, self._version,
            cached,
        )  # fmt: skip

    def _candidates(self, models: Collection[str] | None) -> list[str]:
        if models is None:
            return list(self.profile.models)
        for name in models:
            if name not in self._usd:
                raise InvalidRequest(f"{name} has no routing profile", param="models")
        if not models:
            raise InvalidRequest("models must name at least one model", param="models")
        return sorted(set(models))

    def _find(self, ends: str, characters: int) -> _Place:
        prompts = read_prompts(self._embedder, [ends], self.profile.tokens)
        prompts.lengths[0] = math.log1p(characters)
        shares = self.profile.shares(prompts.points(self.profile.length_weight))[0]
        expected = (shares @ self._vectors).tolist()
        named = dict(zip(self.profile.models, expected, strict=True))
        return _Place(tuple(shares.tolist()), named, int(shares.argmax()))


def _check(cost_weight: float) -> None:
    if not math.isfinite(cost_weight) or cost_weight < 0:
        raise InvalidRequest("cost_weight must be a number of 0 or more", param="cost_weight")


def _reasoning(scores: list[Score], place: _Place, cost_weight: float) -> str:
    best = scores[0]
    rivals = [one for one in scores if one.available == best.available]
    surest = min(rivals, key=lambda one: one.expected_error)
    near = "the prompt could not be read, all prompts count"
    if place.nearest is not None:
        near = f"nearest cluster {place.nearest} ({place.clusters[place.nearest]:.0%})"
    said = f"{near}: {best.model} is expected to err on {best.expected_error:.0%}"
    if surest.expected_error >= best.expected_error:
        said += f", the least of {len(rivals)}"
    else:
        said += (
            f" at {best.cost:.0%} of the dearest price; {surest.model} would on "
            f"{surest.expected_error:.0%} at {surest.cost:.0%}, which is not worth it at a cost "
            f"weight of {cost_weight:g}"
        )
    absent = sorted(one.model for one in scores if not one.available)
    return f"{said}; not available here: {', '.join(absent)}" if absent else said
