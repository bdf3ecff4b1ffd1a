import json

import numpy as np
import pytest

from app.embedding import weights
from app.embedding.weights import ModelUnfit


def test_the_installed_files_are_the_published_ones() -> None:
    known = weights.tensors(weights.content(weights.WEIGHTS))
    assert known["embeddings.word_embeddings.weight"].shape == (30522, weights.DIMENSIONS)
    assert json.loads(weights.content(weights.TOKENIZER))["model"]["type"] == "WordPiece"


def test_a_file_that_was_altered_is_refused() -> None:
    good = weights.content(weights.TOKENIZER)
    with pytest.raises(ModelUnfit, match=r"tokenizer\.json .* is not the one that is known"):
        weights.checked(weights.TOKENIZER, good + b" ")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_model")
    with pytest.raises(ModelUnfit, match="the package no_such_model is not installed"):
        weights.content(weights.TOKENIZER)


def test_tensors_are_read_by_their_places() -> None:
    numbers = np.arange(6, dtype="<f4")
    head = json.dumps({
        "__metadata__": {"format": "pt"},
        "ids": {"dtype": "I64", "shape": [1], "data_offsets": [24, 32]},
        "late": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]},
        "early": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }).encode()  # fmt: skip
    data = len(head).to_bytes(8, "little") + head + numbers.tobytes() + bytes(8)
    found = weights.tensors(data)
    assert set(found) == {"late", "early"}
    assert found["early"].tolist() == [0, 1]
    assert found["late"].tolist() == [[2, 3], [4, 5]]


def test_what_is_packed_is_read_again() -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    known: dict[str, np.ndarray] = {
        "bytes": np.arange(5, dtype=np.uint8),
        "numbers": numbers,
        "one": numbers[:1],
    }
    data = weights.packed(known)
    found = weights.tensors(data)
    assert set(found) == set(known)
    for name, values in known.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)
    head = int.from_bytes(data[:8], "little")
    assert head % 8 == 0
    offsets = [entry["data_offsets"] for entry in json.loads(data[8 : 8 + head]).values()]
    # The numbers of four bytes come first, so that they start at multiples of four.
    assert offsets == [[0, 24], [24, 36], [36, 41]]
