"""The file that onnxruntime reads, made once in a data directory and used by all its processes."""

import fcntl
import hashlib
import os
from pathlib import Path

from app.embedding import weights

MODEL = "all-MiniLM-L6-v2-int8"


def model_file(home: Path) -> Path:
    """The model in the data directory `home`, which is built there if it is not: a second of work,
    done by one process while others wait. Raises ModelUnfit and OSError."""
    path = home / "models" / f"{MODEL}-{_version()}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _build(path)
    return path


def _version() -> str:
    """Changes with the weights and with the code that makes a graph of them."""
    code = Path(__file__).with_name("graph.py").read_bytes()
    return hashlib.sha256(weights.SHA256[weights.WEIGHTS].encode() + code).hexdigest()[:16]


def _build(path: Path) -> None:
    # onnx is as large as onnxruntime, and no process needs it once the file is there.
    from app.embedding.graph import bert

    model = bert(weights.tensors(weights.content(weights.WEIGHTS)))
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        file.write(model.SerializeToString())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
