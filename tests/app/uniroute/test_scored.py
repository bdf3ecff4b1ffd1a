from pathlib import Path
from typing import Any

import orjson
import pytest

from app.errors import InvalidRequest
from app.uniroute.scored import costs_of, read_prices, read_scored

GOOD = [
    {"question": "b", "scores": {"y": 1, "x": 0.25}, "cluster_id": 3},
    {"question": "a", "scores": {"x": 0.5, "y": 0}},
]


def written(folder: Path, value: Any) -> Path:
    path = folder / "file.json"
    path.write_bytes(value if isinstance(value, bytes) else orjson.dumps(value))
    return path


def test_the_order_of_entries_and_models_does_not_count(tmp_path: Path) -> None:
    scored = read_scored(written(tmp_path, GOOD))
    assert (scored.texts, scored.models) == (("a", "b"), ("x", "y"))
    assert scored.quality.tolist() == [[0.5, 0.0], [0.25, 1.0]]
    assert scored.wrong.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_only_the_models_that_are_asked_for_are_read(tmp_path: Path) -> None:
    assert read_scored(written(tmp_path, GOOD), ["y"]).quality.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"{", "is not JSON"),
        ([], "must be a list with at least one"),
        ({"a": 1}, "must be a list"),
        ([1], r"\[0\] must be an object"),
        ([*GOOD, {"question": "c"}], r"\[2\].scores must be an object"),
        ([{"scores": {"x": 1}}], r"\[0\].question must be a text"),
        ([{"question": " ", "scores": {"x": 1}}], r"\[0\].question must be a text"),
        ([*GOOD, {"question": "c", "scores": {"x": 1}}], r"\[2\].scores.y is missing"),
        (
            [*GOOD, {"question": "c", "scores": {"x": 1, "y": 1, "z": 1}}],
            r"\[2\].scores.z is of a model that \[0\] does not score",
        ),
        ([{"question": "c", "scores": {"x": 1.2}}], r"\[0\].scores.x must be a number from 0 to 1"),
        ([{"question": "c", "scores": {"x": True}}], r"\[0\].scores.x must be a number"),
        ([{"question": "c", "scores": {"x": "1"}}], r"\[0\].scores.x must be a number"),
    ],
)
def test_what_is_wrong_is_named_by_entry_and_field(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        read_scored(written(tmp_path, value))
    assert "file.json" in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.json: No such file"):
        read_scored(tmp_path / "none.json")


def test_a_price_is_the_mean_of_in_and_out(tmp_path: Path) -> None:
    prices = read_prices(written(tmp_path, {"x": {"input_price": 1, "output_price": 3.0}}))
    assert prices == {"x": 2.0}
    assert costs_of(["x"], prices, "file").tolist() == [2.0]
    assert costs_of(["x", "y"], None, "file").tolist() == [1.0, 1.0]
    with pytest.raises(InvalidRequest, match="file: y has no price"):
        costs_of(["x", "y"], prices, "file")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "must be an object of models"),
        ({"x": 1}, "x must be an object with input_price"),
        ({"x": {"input_price": 1}}, "x.output_price must be a price of 0 or more"),
        ({"x": {"input_price": -1, "output_price": 1}}, "x.input_price must be a price"),
        ({"x": {"input_price": "1", "output_price": 1}}, "x.input_price must be a price"),
    ],
)
def test_a_wrong_price_is_named_by_model_and_field(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_prices(written(tmp_path, value))
