"""How good a ranking is, as trec_eval counts it."""

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], worth: Mapping[str, float], depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`, with the gain as it is and the
    logarithm of base 2 (Järvelin, Kekäläinen 2002, as trec_eval's ndcg_cut)."""
    ideal = _dcg(sorted(worth.values(), reverse=True)[:depth])
    return _dcg([worth.get(one, 0.0) for one in ranking[:depth]]) / ideal if ideal else 0.0


def recall(ranking: Sequence[str], worth: Mapping[str, float], depth: int) -> float:
    """The part of what is worth something that is among the first `depth`."""
    relevant = {one for one, gain in worth.items() if gain > 0}
    return len(relevant & {*ranking[:depth]}) / len(relevant) if relevant else 0.0


def average_precision(ranking: Sequence[str], worth: Mapping[str, float]) -> float:
    """The mean of the precisions at each place that is worth something; what is not in the ranking
    counts 0."""
    relevant = sum(gain > 0 for gain in worth.values())
    found, total = 0, 0.0
    for place, one in enumerate(ranking, 1):
        if worth.get(one, 0.0) > 0:
            found += 1
            total += found / place
    return total / relevant if relevant else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))
