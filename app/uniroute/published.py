"""Makes a profile of a table of errors that others measured, without their prompts.

The form is that of OpenTracy's weights: centroids in the space of all-MiniLM-L6-v2, and for each
model the share of a cluster's prompts that it failed (`psi`), how many prompts the cluster had
(`cluster_sample_counts`), and a price.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from app.embedding.weights import DIMENSIONS
from app.errors import InvalidRequest
from app.uniroute.clusters import memberships
from app.uniroute.profile import Profile, make
from app.uniroute.prompts import TOKENS

Matrix = NDArray[np.float64]
TEMPERATURES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.12)
SHRINKAGES = (1.0, 4.0, 16.0, 64.0)
"""In prompts, one at least: no cluster is trusted alone, whatever the likelihood says."""

SPLITS = 20
FLOOR = 1e-3
"""Of a probability whose logarithm is taken."""


class _Model(BaseModel):
    psi: list[float] = Field(min_length=1)
    cluster_sample_counts: list[float] = Field(min_length=1)
    usd_per_1k_tokens: float = Field(ge=0)


class _Table(BaseModel):
    source: str
    centroids: list[list[float]] = Field(min_length=1)
    models: dict[str, _Model] = Field(min_length=1)


def published_profile(path: Path, seed: int = 0) -> Profile:
    """The profile of a file of published errors. Raises InvalidRequest, which names the field."""
    table = _read(path)
    models = tuple(sorted(table.models))
    centroids = np.array(table.centroids, np.float64)
    found = [table.models[name] for name in models]
    counts = np.array([one.cluster_sample_counts for one in found]).T
    failed = np.array([one.psi for one in found]).T * counts
    temperature, shrinkage = _smoothing(centroids, counts, failed, seed)
    shares = memberships(centroids, centroids, temperature)
    return make(
        models, np.column_stack([centroids, np.zeros(len(centroids))]),
        (shares.T @ counts, shares.T @ failed), failed.sum(axis=0) / counts.sum(axis=0),
        np.array([1000 * one.usd_per_1k_tokens for one in found]),
        temperature=temperature, shrinkage=shrinkage, length_weight=0.0, tokens=TOKENS,
        origin=_origin(table, counts),
    )  # fmt: skip


def _origin(table: _Table, counts: Matrix) -> Mapping[str, str]:
    return {
        "source": table.source,
        "made by": "moonpool router import",
        "prompts": f"{counts[:, 0].sum():g} in {len(counts)} clusters",
        "prices": "those of the source, dollars per million tokens",
    }


def _smoothing(centroids: Matrix, counts: Matrix, failed: Matrix, seed: int) -> tuple[float, float]:
    """Temperature and shrinkage under which one half of each cluster's prompts is the likeliest
    after the other half, over random halves. Which prompts failed is not needed for that: the
    failures in a half are hypergeometric. Every prompt is taken to lie at its centroid."""
    random = np.random.default_rng(seed)
    total, wrong = counts.round().astype(int), failed.round().astype(int)
    halves = []
    for _ in range(SPLITS):
        kept = (total + random.integers(0, 2, total.shape)) // 2
        halves.append((kept, random.hypergeometric(wrong, total - wrong, kept)))
    likelihood = {}
    for temperature, shrinkage in product(TEMPERATURES, SHRINKAGES):
        shares = memberships(centroids, centroids, temperature)
        likelihood[temperature, shrinkage] = sum(
            _likelihood(shares, shrinkage, (kept, errors), (total - kept, wrong - errors))
            for kept, errors in halves
        )
    return max(likelihood, key=lambda pair: (likelihood[pair], pair))


def _likelihood(
    shares: Matrix,
    shrinkage: float,
    known: tuple[NDArray[np.int_], NDArray[np.int_]],
    other: tuple[NDArray[np.int_], NDArray[np.int_]],
) -> float:
    """The logarithm of how likely the failures in `other` are after those `known`; each is counts
    and failures, (clusters, models)."""
    kept, errors = known
    means = errors.sum(axis=0) / np.maximum(kept.sum(axis=0), 1)
    vectors = (shares.T @ errors + shrinkage * means) / (shares.T @ kept + shrinkage)
    expected = np.clip(shares @ vectors, FLOOR, 1 - FLOOR)
    count, failures = other
    right = (count - failures) * np.log(1 - expected)
    return float((failures * np.log(expected) + right).sum())


def _read(path: Path) -> _Table:
    try:
        table = _Table.model_validate(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param=str(path)) from error
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{path}: is not JSON: {error}", param=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{path}: {field} {first['msg']}", param=field) from error
    for place, row in enumerate(table.centroids):
        if len(row) != DIMENSIONS:
            field = f"centroids.{place}"
            raise InvalidRequest(f"{path}: {field} must have {DIMENSIONS} numbers", param=field)
    for name, model in table.models.items():
        for field in ("psi", "cluster_sample_counts"):
            values = getattr(model, field)
            if len(values) != len(table.centroids) or min(values) < 0:
                where = f"models.{name}.{field}"
                wanted = f"must have {len(table.centroids)} numbers of 0 or more"
                raise InvalidRequest(f"{path}: {where} {wanted}", param=where)
        if max(model.psi) > 1 or not sum(model.cluster_sample_counts):
            where = f"models.{name}"
            raise InvalidRequest(f"{path}: {where} must have shares of some prompts", param=where)
    return table
