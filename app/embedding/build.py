"""The file that onnxruntime reads, made once in a data directory and used by all its processes."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedding import weights
from app.embedding.weights import DIMENSIONS

if TYPE_CHECKING:
    from app.embedding.graph import Weights


@dataclass(frozen=True, slots=True)
class Model:
    """What a file is made of. `version` changes with the weights that `weights` gives; `width` is
    how many numbers come out for a text. Names of the linear map on top, if there is one, begin
    with `head`. A batch is worked on by `threads` at most. Both functions raise ModelUnfit and
    OSError."""

    name: str
    version: Callable[[], str]
    weights: Callable[[], "Weights"]
    width: int = DIMENSIONS
    head: str = ""
    threads: int = 2


MINILM = Model(
    "all-MiniLM-L6-v2-int8",
    lambda: weights.SHA256[weights.WEIGHTS],
    lambda: weights.tensors(weights.content(weights.WEIGHTS)),
)


def model_file(home: Path, model: Model = MINILM) -> Path:
    """The model in the data directory `home`, which is built there if it is not: a second of work,
    done by one process while others wait. Raises ModelUnfit and OSError."""
    path = home / "models" / f"{model.name}-{_version(model)}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _build(path, model)
    return path


def _version(model: Model) -> str:
    """Changes with the weights and with the code that makes a graph of them."""
    code = Path(__file__).with_name("graph.py").read_bytes()
    return hashlib.sha256(model.version().encode() + code).hexdigest()[:16]


def _build(path: Path, model: Model) -> None:
    # onnx is as large as onnxruntime, and no process needs it once the file is there.
    from app.embedding.graph import bert

    whole = bert(model.weights(), model.head)
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        file.write(whole.SerializeToString())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
