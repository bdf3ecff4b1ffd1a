"""From a checkpoint to the shipped files, on a checkpoint that nobody trained."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from app.embedding import weights
from app.embedding.minilm import Embedder
from app.emotion.reading import shipped
from app.emotion.reading.model import LABELS
from app.emotion.reading.training import ship


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, np.ndarray]:
    """The wheel's own encoder with a head by chance."""
    chance = np.random.default_rng(7)
    found = weights.tensors(weights.content(weights.WEIGHTS))
    kept = {
        name: values
        for name, values in found.items()
        if name not in shipped.FROZEN and not name.startswith("pooler")
    }
    head = chance.normal(0, 0.05, (shipped.WIDTH, weights.DIMENSIONS)).astype(np.float32)
    return kept | {
        f"{shipped.HEAD}weight": head,
        f"{shipped.HEAD}bias": chance.normal(0, 1, shipped.WIDTH).astype(np.float32),
    }


def test_shipping_rounds_matrices_once(checkpoint: dict[str, np.ndarray]) -> None:
    trained = ship.in_bytes([weights.packed(checkpoint)])
    whole = shipped.whole(trained)
    for name, values in checkpoint.items():
        assert np.abs(whole[name] - values).max() <= np.abs(values).max() / 250, name
    again = ship.in_bytes([weights.packed({name: whole[name] for name in checkpoint})])
    first, second = weights.tensors(trained), weights.tensors(again)
    assert all(np.allclose(first[name], second[name], rtol=1e-6) for name in first)
    assert all(
        np.array_equal(first[name], second[name]) for name in first if name.endswith(shipped.ROWS)
    )


def test_of_several_checkpoints_the_mean_is_shipped(checkpoint: dict[str, np.ndarray]) -> None:
    name = f"{shipped.HEAD}bias"
    other = checkpoint | {name: checkpoint[name] + 3}
    both = ship.in_bytes([weights.packed(checkpoint), weights.packed(other)])
    assert np.allclose(weights.tensors(both)[name], checkpoint[name] + 1.5)


def test_the_head_sees_the_mean_of_the_tokens(
    checkpoint: dict[str, np.ndarray], embedder: Embedder, folder: Path
) -> None:
    texts = ["x", "The moon is a stone.", "I am so glad that you are here! " * 4]
    plain = checkpoint | {
        f"{shipped.HEAD}weight": np.eye(shipped.WIDTH, weights.DIMENSIONS, dtype=np.float32),
        f"{shipped.HEAD}bias": np.full(shipped.WIDTH, 100, np.float32),
    }
    made = ship.network(ship.in_bytes([weights.packed(plain)]), folder)
    means = ship.scores(made, texts) - 100
    vectors = embedder.encode(texts)[:, : shipped.WIDTH]
    lengths, wanted = np.linalg.norm(means, axis=1), np.linalg.norm(vectors, axis=1)
    assert np.allclose(means / lengths[:, None], vectors / wanted[:, None], atol=1e-3)
    # A sum would be ten times as long for the last text as for the first.
    assert lengths.max() < 3 * lengths.min()


def test_the_command_writes_both_files_and_tells_their_checksums(
    checkpoint: dict[str, np.ndarray], folder: Path
) -> None:
    (folder / "pass.safetensors").write_bytes(weights.packed(checkpoint))
    words = ["good", "bad", "moon", "fear", "thanks", "so sad"]
    rated = [f"{i},dev,{1 + i % 5},{1 + i % 4},{1 + i % 3},{words[i % 6]} {i}" for i in range(24)]
    (folder / "emobank_train_dev.csv").write_text("\n".join(["id,split,V,A,D,text", *rated]))
    named = [f"{words[i % 6]} {i}\t{i % len(LABELS)}\tid\n" for i in range(112)]
    (folder / "goemotions_dev.tsv").write_text("".join(named))
    asked = ["--data", folder, "--checkpoint", folder / "pass.safetensors", "--out", folder / "out"]
    told = CliRunner().invoke(ship.main, [str(argument) for argument in asked])
    assert told.exit_code == 0, told.output
    for name in (shipped.WEIGHTS, shipped.CALIBRATION):
        content = (folder / "out" / name).read_bytes()
        assert f"{name} {hashlib.sha256(content).hexdigest()}" in told.output
    known = json.loads((folder / "out" / shipped.CALIBRATION).read_text())
    assert tuple(known["labels"]) == LABELS
    assert "macro-F1 of 28: " in told.output
