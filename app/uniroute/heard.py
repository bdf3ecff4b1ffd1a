"""Counts what people said of routed answers into a profile, within bounds.

In a cluster a model's expected error is the mean of a Beta posterior, whose prior and scored
prompts are the profile's. A rating adds one more prompt, in the shares of its clusters. What one
tenant says of a model weighs at most `TENANT_SHARE` of all that the profile knew of it there.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.uniroute.model import Lesson
from app.uniroute.profile import Profile, rounded

Matrix = NDArray[np.float64]
TENANT_SHARE = 0.1
"""So one tenant alone moves an expected error by a tenth of its way at most, whatever it says and
however often: 0.1 / (1 + 0.1) of the distance to 0 or 1."""

ERROR_FLOOR = 0.02
"""No feedback drives an expected error below this, or so near to 1: a model that is always right or
always wrong could not be judged anew, since only answers that are given are rated."""


def with_feedback(profile: Profile, lessons: Iterable[Lesson], source: str) -> Profile:
    """The profile with lessons counted in, whatever their order. Lessons of models and clusters
    that it does not have are passed over. Counts, errors and origin change, and nothing else."""
    counts, errors = _summed(profile, lessons)
    known = profile.counts + profile.shrinkage
    new_counts = profile.counts + counts
    before = profile.error_vectors
    prior = profile.shrinkage * profile.means
    after = (profile.errors + errors + prior) / (known + counts)
    # What was beyond a bound before may stay there, and goes no further.
    after = np.clip(after, np.minimum(ERROR_FLOOR, before), np.maximum(1 - ERROR_FLOOR, before))
    new_errors = after * (known + counts) - prior
    heard = counts > 0
    return replace(
        profile,
        counts=rounded(np.where(heard, new_counts, profile.counts)),
        errors=rounded(np.where(heard, new_errors, profile.errors)),
        origin={**profile.origin, "feedback": source},
    )


def _summed(profile: Profile, lessons: Iterable[Lesson]) -> tuple[Matrix, Matrix]:
    """Prompts and errors that lessons add, (clusters, models), each tenant's within its bound."""
    places = {name: place for place, name in enumerate(profile.models)}
    tenants: dict[str, tuple[Matrix, Matrix]] = {}
    # Sums of fractions depend on their order in the last digits.
    for one in sorted(lessons, key=_order):
        model = places.get(one.model)
        if model is None:
            continue
        counts, errors = tenants.setdefault(
            one.tenant_id, (np.zeros_like(profile.counts), np.zeros_like(profile.errors))
        )
        for cluster, share in one.clusters.items():
            if 0 <= cluster < len(counts):
                counts[cluster, model] += share
                errors[cluster, model] += share * one.wrong
    bound = TENANT_SHARE * (profile.counts + profile.shrinkage)
    summed = np.zeros_like(profile.counts), np.zeros_like(profile.errors)
    for counts, errors in tenants.values():
        part = bound / np.maximum(counts, bound)
        summed[0][:] += counts * part
        summed[1][:] += errors * part
    return summed


def _order(lesson: Lesson) -> tuple[str, str, float, list[tuple[int, float]]]:
    return lesson.tenant_id, lesson.model, lesson.wrong, sorted(lesson.clusters.items())
