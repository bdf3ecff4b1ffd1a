"""How well readings agree with what people said."""

from collections.abc import Collection, Sequence
from statistics import correlation, fmean

BINS = 15
"""The bins of Guo et al. 2017, On Calibration of Modern Neural Networks, section 2
(https://arxiv.org/abs/1706.04599)."""


def pearson(found: Sequence[float], wanted: Sequence[float]) -> float:
    """Pearson's correlation; 0 if one side has a single value throughout."""
    if len(set(found)) < 2 or len(set(wanted)) < 2:
        return 0.0
    return correlation(found, wanted)


def f1(found: Sequence[Collection[str]], wanted: Sequence[Collection[str]], name: str) -> float:
    """The F1 of one class over texts that may have several; 0 if it is neither found nor wanted."""
    pairs = [(name in has, name in should) for has, should in zip(found, wanted, strict=True)]
    both = sum(has and should for has, should in pairs)
    either = sum(has + should for has, should in pairs)
    return 2 * both / either if either else 0.0


def macro_f1(
    found: Sequence[Collection[str]], wanted: Sequence[Collection[str]], names: Sequence[str]
) -> float:
    """The plain mean of the classes' F1."""
    return fmean(f1(found, wanted, name) for name in names)


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The expected calibration error: over 15 bins of equal width, the mean distance between how
    sure the model was and how often it was right, each bin by its share of cases."""
    bins: dict[int, list[float]] = {}
    for confidence, hit in zip(confidences, right, strict=True):
        bins.setdefault(min(BINS - 1, int(confidence * BINS)), []).append(confidence - hit)
    return sum(abs(sum(gaps)) for gaps in bins.values()) / len(confidences)
