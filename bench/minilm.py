"""The model in plain float32, one text at a time, as its papers say it: what the graph is held
against."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.embedding import weights

Array = NDArray[np.float32]
HEADS, LAYERS, EPSILON = 12, 6, 1e-12
_POINTS = np.linspace(-6, 6, 120_001)
_ERF = np.array([math.erf(point) for point in _POINTS])


@cache
def tensors() -> dict[str, Array]:
    return weights.tensors(weights.content(weights.WEIGHTS))


def vector(ids: list[int]) -> Array:
    """The vector of a text's tokens."""
    known = tensors()
    states = known["embeddings.word_embeddings.weight"][ids]
    states = states + known["embeddings.position_embeddings.weight"][: len(ids)]
    states = _norm(states + known["embeddings.token_type_embeddings.weight"][0], "embeddings.")
    for layer in range(LAYERS):
        states = _layer(states, f"encoder.layer.{layer}.")
    mean = states.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _layer(states: Array, layer: str) -> Array:
    asked, keys, values = (
        _heads(_times(states, f"{layer}attention.self.{name}."))
        for name in ("query", "key", "value")
    )
    scores = asked @ keys.transpose(0, 2, 1) / math.sqrt(asked.shape[2])
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    attended = (shares @ values).transpose(1, 0, 2).reshape(states.shape)
    out = f"{layer}attention.output."
    states = _norm(_times(attended, f"{out}dense.") + states, out)
    wide = _times(states, f"{layer}intermediate.dense.")
    # Between points so near the line is right to 1e-9, and beyond 6 erf is 1 in any float.
    wide = wide * (1 + np.interp(wide / math.sqrt(2), _POINTS, _ERF)) / 2
    return _norm(_times(wide, f"{layer}output.dense.") + states, f"{layer}output.")


def _heads(states: Array) -> Array:
    return states.reshape(len(states), HEADS, -1).transpose(1, 0, 2)


def _times(states: Array, part: str) -> Array:
    known = tensors()
    return np.asarray(states @ known[f"{part}weight"].T + known[f"{part}bias"], np.float32)


def _norm(states: Array, part: str) -> Array:
    known = tensors()
    centred = states - states.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    scaled = centred / spread * known[f"{part}LayerNorm.weight"]
    return np.asarray(scaled + known[f"{part}LayerNorm.bias"], np.float32)
