"""A router's profile: clusters of prompts, and how often each model errs in each of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidRequest
from app.uniroute.clusters import memberships
from app.uniroute.model import DEFAULT

Matrix = NDArray[np.float64]
FORM = 1
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Profile:
    """`centres` is (clusters, 385). `counts` and `errors` are (clusters, models): how many scored
    prompts of a cluster a model was given, and how many it failed, in fractions where a prompt is
    partly of a cluster. `means` is each model's error over all its prompts. `usd` are prices in
    dollars per million tokens. `origin` tells where all this comes from.
    """

    models: tuple[str, ...]
    centres: Matrix
    counts: Matrix
    errors: Matrix
    means: Matrix
    usd: Matrix
    temperature: float
    shrinkage: float
    length_weight: float
    tokens: int
    origin: Mapping[str, str]

    @property
    def error_vectors(self) -> Matrix:
        """Each model's expected error in each cluster, (clusters, models): the mean of a Beta
        posterior whose prior is the model's own mean, worth `shrinkage` prompts."""
        prior = self.shrinkage * self.means
        vectors: Matrix = (self.errors + prior) / (self.counts + self.shrinkage)
        return vectors

    def shares(self, points: Matrix) -> Matrix:
        """How much of each cluster each prompt is, (prompts, clusters)."""
        return memberships(points, self.centres, self.temperature)

    def expected(self, points: Matrix) -> Matrix:
        """Each model's expected error on each prompt, (prompts, models)."""
        expected: Matrix = self.shares(points) @ self.error_vectors
        return expected

    @property
    def version(self) -> str:
        """The checksum of all that is in it: two profiles with the same one decide alike."""
        text = orjson.dumps(_plain(self), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()[:16]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    form: int
    version: str
    models: list[str] = Field(min_length=1)
    centres: list[list[float]] = Field(min_length=1)
    counts: list[list[float]]
    errors: list[list[float]]
    means: list[float]
    usd: list[float]
    temperature: float = Field(gt=0)
    shrinkage: float = Field(gt=0)
    length_weight: float = Field(ge=0)
    tokens: int = Field(ge=4, le=256)
    origin: dict[str, str]


def make(
    models: Sequence[str],
    centres: Matrix,
    table: tuple[Matrix, Matrix],
    means: Matrix,
    usd: Matrix,
    *,
    temperature: float,
    shrinkage: float,
    length_weight: float,
    tokens: int,
    origin: Mapping[str, str],
) -> Profile:
    """A profile with its models in the order of their names and its numbers as its file has them;
    `table` is counts and errors."""
    order = np.argsort(np.array(models))
    counts, errors = table
    return Profile(
        tuple(models[i] for i in order), rounded(centres), rounded(counts[:, order]),
        rounded(errors[:, order]), rounded(means[order]), rounded(usd[order]),
        round(temperature, DIGITS), round(shrinkage, DIGITS), round(length_weight, DIGITS),
        tokens, dict(origin),
    )  # fmt: skip


def with_model(
    profile: Profile, model: str, points: Matrix, wrong: Matrix, usd: float, source: str
) -> Profile:
    """The profile with one model more, known from prompts at `points` and whether it failed each
    of them, (prompts). Nothing of the others changes. Its mean error is that of Jeffreys' prior,
    Beta(1/2, 1/2), since a few right answers do not make a model that never errs. Raises
    InvalidRequest if it is known."""
    if model in profile.models:
        raise InvalidRequest(f"{model} is in the profile already", param="model")
    shares = profile.shares(points)
    counts = np.column_stack([profile.counts, shares.sum(axis=0)])
    errors = np.column_stack([profile.errors, shares.T @ wrong])
    mean = (wrong.sum() + 0.5) / (len(wrong) + 1)
    return make(
        (*profile.models, model), profile.centres, (counts, errors),
        np.append(profile.means, mean), np.append(profile.usd, usd),
        temperature=profile.temperature, shrinkage=profile.shrinkage,
        length_weight=profile.length_weight, tokens=profile.tokens,
        origin={**profile.origin, f"model {model}": source},
    )  # fmt: skip


def with_prices(profile: Profile, usd: Matrix, source: str) -> Profile:
    """The profile with other prices, in the order of its models."""
    return replace(profile, usd=rounded(usd), origin={**profile.origin, "prices": source})


def write_profile(profile: Profile, path: Path) -> None:
    """Writes the file of a profile. Raises InvalidRequest if that cannot be."""
    try:
        path.write_bytes(profile_text(profile) + b"\n")
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param=str(path)) from error


def profile_text(profile: Profile) -> bytes:
    """A profile as its file has it."""
    return orjson.dumps({"form": FORM, "version": profile.version, **_plain(profile)})


def read_profile(path: Path) -> Profile:
    """The profile of a file. Raises InvalidRequest, which names the field, if it is none, or if it
    was changed since it was written."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param=str(path)) from error
    return parse_profile(text, path)


def parse_profile(text: bytes, path: Path | str) -> Profile:
    """The profile that `profile_text` wrote; `path` is what errors call it. Raises as
    `read_profile` does."""
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{path}: {field} {first['msg']}", param=field) from error
    if file.form != FORM:
        raise InvalidRequest(f"{path}: form must be {FORM}, not {file.form}", param="form")
    profile = _profile(path, file)
    if profile.version != file.version:
        raise InvalidRequest(
            f"{path}: version is {file.version}, but what is in it has the checksum "
            f"{profile.version}: it was changed since it was written",
            param="version",
        )
    return profile


@cache
def default_profile() -> Profile:
    """The profile that comes with Moonpool (docs/router.md tells whence)."""
    return read_profile(DEFAULT)


def _profile(path: Path | str, file: _File) -> Profile:
    arrays = {
        name: _array(path, name, getattr(file, name)) for name in ("centres", "counts", "errors")
    }
    clusters, models = len(file.centres), len(file.models)
    for name in ("counts", "errors"):
        if arrays[name].shape != (clusters, models):
            raise InvalidRequest(f"{path}: {name} must be {clusters} by {models}", param=name)
    rows = {name: np.array(getattr(file, name), np.float64) for name in ("means", "usd")}
    for name, row in rows.items():
        if len(row) != models:
            raise InvalidRequest(f"{path}: {name} must have {models} numbers", param=name)
    if file.models != sorted(set(file.models)):
        raise InvalidRequest(f"{path}: models must be sorted, each once", param="models")
    return Profile(
        tuple(file.models), arrays["centres"], arrays["counts"], arrays["errors"], rows["means"],
        rows["usd"], file.temperature, file.shrinkage, file.length_weight, file.tokens, file.origin,
    )  # fmt: skip


def _array(path: Path | str, name: str, rows: list[list[float]]) -> Matrix:
    if len({len(row) for row in rows}) != 1:
        raise InvalidRequest(f"{path}: {name} must have rows of one length", param=name)
    return np.array(rows, np.float64)


def _plain(profile: Profile) -> dict[str, Any]:
    return {
        "models": list(profile.models),
        "centres": profile.centres.tolist(),
        "counts": profile.counts.tolist(),
        "errors": profile.errors.tolist(),
        "means": profile.means.tolist(),
        "usd": profile.usd.tolist(),
        "temperature": profile.temperature,
        "shrinkage": profile.shrinkage,
        "length_weight": profile.length_weight,
        "tokens": profile.tokens,
        "origin": dict(profile.origin),
    }


def rounded(values: Matrix) -> Matrix:
    """The numbers as a profile's file has them."""
    # Adding 0 makes -0.0, which has another checksum, 0.0.
    return np.round(values, DIGITS) + 0.0
