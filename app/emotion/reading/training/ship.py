"""Makes the shipped files of checkpoints: weights in eight bits, and what calibrates them.

    python -m app.emotion.reading.training.ship --data ../shared/data \\
        --checkpoint /tmp/feeling/pass-3.safetensors --checkpoint /tmp/feeling/pass-4.safetensors

Of several checkpoints the mean is taken (Izmailov et al. 2018, Averaging Weights Leads to Wider
Optima and Better Generalization, https://arxiv.org/abs/1803.05407).

The calibration is fitted on the dev splits, to what the eight-bit weights give. What it is worth is
told by halves: fitted on one half, measured on the other.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from app.embedding import weights
from app.embedding.build import Model
from app.embedding.graph import in_blocks
from app.embedding.minilm import Embedder
from app.emotion.reading import datasets, metrics, shipped
from app.emotion.reading.calibration import Calibration, as_json, passing
from app.emotion.reading.model import AXES, EKMAN, LABELS
from app.emotion.reading.reader import first_tokens
from app.emotion.reading.shipped import CALIBRATION, HEAD, ROWS, SCALES, WEIGHTS, WIDTH
from app.emotion.reading.training.fitting import fitted

FOLDER = Path(shipped.__file__).parent


def in_bytes(checkpoints: Sequence[bytes]) -> bytes:
    """The shipped file of the mean of checkpoints: matrices of the encoder in blocks of bytes, all
    else as it is."""
    read = [weights.tensors(checkpoint) for checkpoint in checkpoints]
    found: dict[str, NDArray[Any]] = {}
    for name in read[0]:
        values = np.asarray(sum(known[name] for known in read) / len(read), np.float32)
        if values.ndim == 2 and not name.startswith(HEAD):
            found[name + ROWS], found[name + SCALES] = in_blocks(values)
        else:
            found[name] = values
    return weights.packed(found)


def network(trained: bytes, home: Path) -> Embedder:
    """The network of a shipped file that has no place in the tree yet."""
    version = hashlib.sha256(trained).hexdigest()
    model = Model("candidate", lambda: version, lambda: shipped.whole(trained), WIDTH, HEAD)
    return Embedder(home, model)


def scores(made: Embedder, texts: Sequence[str]) -> NDArray[np.float64]:
    """What the network gives for texts, (texts, WIDTH)."""
    return made.encode_tokens(first_tokens(made, texts)).astype(np.float64)


def by_halves(
    rated: Sequence[datasets.Rated],
    axes: NDArray[np.float64],
    named: Sequence[datasets.Named],
    given: NDArray[np.float64],
) -> dict[str, float]:
    """The figures of a calibration on texts it was not fitted on: both halves are so in turn."""
    readings: list[tuple[datasets.Named, Calibration, int]] = []
    for half in (0, 1):
        known = fitted(axes[half::2], rated[half::2], given[half::2], named[half::2])
        readings += [(named[i], known, i) for i in range(1 - half, len(named), 2)]
    read = [known.reading([0.0] * len(AXES) + given[i].tolist()) for _, known, i in readings]
    wanted = [row.labels for row, _, _ in readings]
    found = [
        passing(r.labels, known.labels) for r, (_, known, _) in zip(read, readings, strict=True)
    ]
    coarse = [
        passing(r.ekman, known.ekman) for r, (_, known, _) in zip(read, readings, strict=True)
    ]
    grouped = [{name for name, of in EKMAN.items() if {*of} & labels} for labels in wanted]
    return {
        "macro-F1 of 28": metrics.macro_f1(found, wanted, LABELS),
        "macro-F1 of Ekman's 7": metrics.macro_f1(coarse, grouped, tuple(EKMAN)),
        "ECE of the primary label": metrics.calibration_error(
            [r.confidence for r in read],
            [r.primary in labels for r, labels in zip(read, wanted, strict=True)],
        ),
    }


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
)
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER, help="Folder of the files.")
def main(data: Path, checkpoints: tuple[Path, ...], out: Path) -> None:
    """Write the files into OUT and print their checksums, which belong into `shipped.py`."""
    rated = datasets.emobank(data / "emobank_train_dev.csv", "dev")
    named = datasets.goemotions(data / "goemotions_dev.tsv")
    trained = in_bytes([checkpoint.read_bytes() for checkpoint in checkpoints])
    with tempfile.TemporaryDirectory() as home:
        made = network(trained, Path(home))
        axes = scores(made, [row.text for row in rated])[:, : len(AXES)]
        given = scores(made, [row.text for row in named])[:, len(AXES) :]
    for name, value in by_halves(rated, axes, named, given).items():
        click.echo(f"{name}: {value:.4f}")
    for place, name in enumerate(AXES):
        wanted = [row.axes[place] for row in rated]
        click.echo(f"Pearson of {name}: {metrics.pearson(axes[:, place].tolist(), wanted):.4f}")
    text = json.dumps(as_json(fitted(axes, rated, given, named)), indent=1) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    for file, content in ((WEIGHTS, trained), (CALIBRATION, text.encode())):
        (out / file).write_bytes(content)
        click.echo(f"{file} {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
