"""Embeddings with no key, by all-MiniLM-L6-v2 on this machine."""

import base64
from typing import TYPE_CHECKING, Any

import orjson

from app.embedding.minilm import Embedder
from app.embedding.weights import DIMENSIONS, TOKENS_MAX, ModelUnfit
from workers.providers.base import Answer, Call, ProviderError
from workers.providers.builtin.request import invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MiniLM:
    """Vectors of 384 numbers and length 1.

    A text of more than 256 tokens, which is all that the model reads, is refused unless the request
    says `truncate`. Fewer `dimensions` are the first of the 384, again at length 1; unlike those of
    models that were trained for it (Kusupati et al. 2022, Matryoshka Representation Learning) such
    vectors lose much. Token ids are refused: they are of another model's vocabulary.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def embed(self, call: Call) -> Answer:
        """The vectors, and how many tokens were read; raises ProviderError."""
        request = call.request
        texts, dimensions = _texts(request), _dimensions(request)
        try:
            tokens = self._embedder.tokens(texts)
            if not request.get("truncate"):
                _unless_long(request, tokens)
            vectors = self._embedder.encode_tokens(tokens)
        except (ModelUnfit, OSError) as error:
            raise ProviderError("unavailable", f"the model cannot be loaded: {error}") from error
        vectors = _cut(vectors, dimensions)
        told = _as_base64 if request.get("encoding_format") == "base64" else _as_floats
        read = sum(min(len(ids), TOKENS_MAX) for ids in tokens)
        return Answer(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": told(vector)}
                    for index, vector in enumerate(vectors)
                ],
            },
            {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read},
        )


def _texts(request: dict[str, Any]) -> list[str]:
    asked = request.get("input")
    texts: list[Any] = asked if isinstance(asked, list) else [asked]
    for text in texts:
        if not isinstance(text, str):
            raise invalid("input", "must be text: this model has a vocabulary of its own")
    return texts


def _dimensions(request: dict[str, Any]) -> int:
    asked = request.get("dimensions")
    if asked is None:
        return DIMENSIONS
    if type(asked) is not int or not 1 <= asked <= DIMENSIONS:
        raise invalid("dimensions", f"must be a whole number from 1 to {DIMENSIONS}")
    return asked


def _unless_long(request: dict[str, Any], tokens: list[list[int]]) -> None:
    for place, ids in enumerate(tokens):
        if len(ids) > TOKENS_MAX:
            field = f"input.{place}" if isinstance(request["input"], list) else "input"
            raise invalid(
                field,
                f"has more than the {TOKENS_MAX} tokens that this model reads; "
                "`truncate: true` embeds its beginning",
            )


def _cut(vectors: "NDArray[np.float32]", dimensions: int) -> "NDArray[np.float32]":
    if dimensions == DIMENSIONS:
        return vectors
    import numpy as np

    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    shorter: NDArray[np.float32] = cut / np.maximum(lengths, np.finfo(np.float32).tiny)
    return shorter


def _as_base64(vector: "NDArray[np.float32]") -> str:
    """The numbers as OpenAI's clients read them: 32 bits each, the lowest byte first."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _as_floats(vector: "NDArray[np.float32]") -> orjson.Fragment:
    # With the digits that a 32-bit number has, which are half of those of a Python float.
    return orjson.Fragment(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))
