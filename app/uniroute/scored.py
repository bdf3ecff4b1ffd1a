"""Files of scored prompts and of prices, as `moonpool router` reads them.

A file of scored prompts is a JSON list of `{"question": text, "scores": {model: 0..1}}`; one of
prices is `{model: {"input_price": x, "output_price": y}}` in dollars per million tokens. Other
fields are passed over.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import InvalidRequest

Matrix = NDArray[np.float64]
CORRECT = 0.5
"""A score from here on counts as a right answer: the error vectors are of right and wrong alone."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Prompts and how well models answered them: `quality` is (prompts, models) in 0..1."""

    texts: tuple[str, ...]
    models: tuple[str, ...]
    quality: Matrix

    @property
    def wrong(self) -> Matrix:
        """1 where a model failed a prompt, else 0, (prompts, models)."""
        return (self.quality < CORRECT).astype(np.float64)

    def rows(self, places: NDArray[np.intp]) -> "Scored":
        """The prompts at these places alone."""
        return Scored(tuple(self.texts[i] for i in places), self.models, self.quality[places])


def read_scored(path: Path, models: Sequence[str] | None = None) -> Scored:
    """The scored prompts of a file, in the order of their texts, models in that of their names, so
    that neither order in the file counts. Only `models` are read if they are given.

    Raises InvalidRequest, which names entry and field.
    """
    entries = _json(path)
    if not isinstance(entries, list) or not entries:
        raise _unfit(path, "", "must be a list with at least one scored prompt")
    first = _scores(path, 0, entries[0])
    wanted = tuple(sorted(models if models is not None else first))
    read = [
        (_text(path, i, entry), _row(path, i, entry, wanted)) for i, entry in enumerate(entries)
    ]
    if models is None:
        for i, entry in enumerate(entries):
            for name in sorted(set(_scores(path, i, entry)) - set(wanted)):
                raise _unfit(path, f"[{i}].scores.{name}", "is of a model that [0] does not score")
    read.sort()
    return Scored(tuple(text for text, _ in read), wanted, np.array([row for _, row in read]))


def read_prices(path: Path) -> dict[str, float]:
    """Each model's price in dollars per million tokens, the mean of what goes in and what comes
    out. Raises InvalidRequest, which names model and field."""
    table = _json(path)
    if not isinstance(table, dict) or not table:
        raise _unfit(path, "", "must be an object of models and their prices")
    return {name: _price(path, name, entry) for name, entry in table.items()}


def costs_of(models: Sequence[str], prices: Mapping[str, float] | None, source: str) -> Matrix:
    """The models' prices, (models). Without any prices all cost 1, so that only quality counts.

    Raises InvalidRequest if one of them has none.
    """
    if prices is None:
        return np.ones(len(models))
    for model in models:
        if model not in prices:
            raise InvalidRequest(f"{source}: {model} has no price", param=model)
    return np.array([prices[model] for model in models], np.float64)


def _json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param=str(path)) from error
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{path}: is not JSON: {error}", param=str(path)) from error


def _unfit(path: Path, field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {field} {message}".replace(":  ", ": "), param=field or None)


def _scores(path: Path, place: int, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _unfit(path, f"[{place}]", "must be an object with question and scores")
    scores = entry.get("scores")
    if not isinstance(scores, dict) or not scores:
        raise _unfit(path, f"[{place}].scores", "must be an object with a score for each model")
    return scores


def _text(path: Path, place: int, entry: dict[str, Any]) -> str:
    text = entry.get("question")
    if not isinstance(text, str) or not text.strip():
        raise _unfit(path, f"[{place}].question", "must be a text that is not empty")
    return text


def _row(path: Path, place: int, entry: Any, models: Sequence[str]) -> list[float]:
    scores = _scores(path, place, entry)
    row = []
    for model in models:
        field = f"[{place}].scores.{model}"
        if model not in scores:
            raise _unfit(path, field, "is missing")
        value = scores[model]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise _unfit(path, field, "must be a number from 0 to 1")
        row.append(float(value))
    return row


def _price(path: Path, name: str, entry: Any) -> float:
    if not isinstance(entry, dict):
        raise _unfit(path, name, "must be an object with input_price and output_price")
    found = []
    for field in ("input_price", "output_price"):
        value = entry.get(field)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value < 0
        ):
            raise _unfit(path, f"{name}.{field}", "must be a price of 0 or more")
        found.append(float(value))
    return sum(found) / len(found)
