"""BERT as an ONNX graph whose weights are eight-bit integers.

The encoder is that of Devlin et al. 2019, BERT (https://arxiv.org/abs/1810.04805), with the sizes
of all-MiniLM-L6-v2's `config.json`: 6 layers, 384 wide, 12 heads. On top are the two steps of its
`modules.json`: the mean over the tokens (Reimers and Gurevych 2019, Sentence-BERT, section 3,
https://arxiv.org/abs/1908.10084) and a length of 1; or, of a model with a head, the mean and one
linear map of it.

Weights are kept in blocks of 32 that have a scale each. onnxruntime multiplies them as integers
with inputs that it rounds block by block too (`MatMulNBits` and `GatherBlockQuantized` in its
ContribOperators.md). Dynamic quantisation, which has one scale for the inputs of a whole batch,
would be faster, but a text's vector would change with the texts that are beside it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from app.embedding.weights import DIMENSIONS

LAYERS = 6
HEADS = 12
NORM_EPSILON = 1e-12
BITS, BLOCK = 8, 32
ZERO = 128
"""The byte that stands for 0."""

OF_INTEGERS = 4
"""The accuracy level of MatMulNBits at which a product is one of integers."""

ORT = "com.microsoft"
OPSET, ORT_OPSET, IR = 20, 1, 10

Weights = dict[str, NDArray[np.float32]]


def bert(weights: Weights, head: str = "") -> ModelProto:
    """The model. Inputs: `ids` and `mask`, int64 (texts, tokens); the mask is 0 where `ids` only
    fills up. Output: `vectors`, float32 (texts, 384), each of length 1; or of the linear map whose
    weights' names begin with `head`, (texts, its rows)."""
    graph = _Graph(weights)
    states = graph.embed()
    mask = graph.op("Cast", "mask", to=TensorProto.INT32)
    for layer in range(LAYERS):
        states = graph.encode(states, mask, f"encoder.layer.{layer}.")
    return graph.model(graph.map(states, head) if head else graph.pool(states))


def in_blocks(matrix: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rows as bytes, (rows, blocks, 32), and the scale of each block, (rows, blocks): a number is
    about its byte less 128, times the scale."""
    blocks = matrix.reshape(matrix.shape[0], -1, BLOCK)
    scales = np.abs(blocks).max(axis=2) / (ZERO - 1)
    # A block of zeros has no scale, and any will do.
    scales[scales == 0] = 1
    return (np.rint(blocks / scales[..., None]) + ZERO).astype(np.uint8), scales


def from_blocks(rows: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matrix that `in_blocks` made these of, as near as they are to it. Of that matrix it makes
    the same bytes again."""
    matrix = (rows.astype(np.float32) - ZERO) * scales[..., None]
    return np.asarray(matrix.reshape(len(rows), -1), np.float32)


class _Graph:
    """Nodes and weights as they come. Methods take and give names of values."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._kept: dict[str, Any] = {}

    def op(self, kind: str, *inputs: str, domain: str = "", **how: Any) -> str:
        """The result of one operator."""
        out = f"{kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [out], out, domain=domain, **how))
        return out

    def keep(self, name: str, values: Any) -> str:
        self._kept[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def weight(self, name: str) -> str:
        return self.keep(name, self._weights[name])

    def embed(self) -> str:
        """Words, their places and the type of the only sentence, summed and normed."""
        rows, scales = in_blocks(self._weights["embeddings.word_embeddings.weight"])
        word = self.op(
            "GatherBlockQuantized", self.keep("words", rows.reshape(-1, DIMENSIONS)), "ids",
            self.keep("words.scales", scales), domain=ORT, bits=BITS, block_size=BLOCK,
            gather_axis=0, quantize_axis=1,
        )  # fmt: skip
        first = self.keep("first", np.zeros(1, np.int64))
        length = self.op("Shape", "ids", start=1, end=2)
        places = self.weight("embeddings.position_embeddings.weight")
        place = self.op("Slice", places, first, length, first)
        types = self._weights["embeddings.token_type_embeddings.weight"]
        typed = self.op("Add", word, self.keep("type", types[0]))
        return self.norm(self.op("Add", typed, place), "embeddings.LayerNorm.")

    def encode(self, states: str, mask: str, layer: str) -> str:
        """One layer: attention, then two products with a GELU between, each added to its input."""
        own = f"{layer}attention.self."
        asked = [self.times(states, f"{own}{name}.") for name in ("query", "key", "value")]
        biases = [self._weights[f"{own}{name}.bias"] for name in ("query", "key", "value")]
        bias = self.keep(f"{own}bias", np.concatenate(biases))
        attended = self.op("MultiHeadAttention", *asked, bias, mask, domain=ORT, num_heads=HEADS)
        states = self.added(attended, states, f"{layer}attention.output.")
        wide = f"{layer}intermediate.dense."
        widened = self.op("Add", self.times(states, wide), self.weight(f"{wide}bias"))
        return self.added(self.op("Gelu", widened), states, f"{layer}output.")

    def times(self, states: str, part: str) -> str:
        matrix = self._weights[f"{part}weight"]
        rows, scales = in_blocks(matrix)
        return self.op(
            "MatMulNBits", states, self.keep(f"{part}rows", rows),
            self.keep(f"{part}scales", scales.reshape(-1)), domain=ORT, N=matrix.shape[0],
            K=matrix.shape[1], bits=BITS, block_size=BLOCK, accuracy_level=OF_INTEGERS,
        )  # fmt: skip

    def added(self, change: str, states: str, part: str) -> str:
        """The end of half a layer: a product, added to what went in, normed."""
        out = self.op("Add", self.times(change, f"{part}dense."), self.weight(f"{part}dense.bias"))
        return self.norm(self.op("Add", out, states), f"{part}LayerNorm.")

    def norm(self, states: str, part: str) -> str:
        scale, bias = self.weight(f"{part}weight"), self.weight(f"{part}bias")
        return self.op("LayerNormalization", states, scale, bias, epsilon=NORM_EPSILON)

    def pool(self, states: str) -> str:
        """The mean of a text's tokens, of length 1. The sum has the direction of the mean."""
        return self.op("LpNormalization", self.sum(states, self.counted()), axis=-1, p=2)

    def map(self, states: str, head: str) -> str:
        """The linear map `head` of the mean of a text's tokens, in float32."""
        counted = self.counted()
        mean = self.op("Div", self.sum(states, counted), self.over_tokens(counted, keepdims=1))
        return self.op(
            "Gemm", mean, self.weight(f"{head}weight"), self.weight(f"{head}bias"), transB=1
        )

    def counted(self) -> str:
        """The mask as numbers, (texts, tokens)."""
        return self.op("Cast", "mask", to=TensorProto.FLOAT)

    def sum(self, states: str, counted: str) -> str:
        """The sum of a text's tokens, (texts, 384)."""
        third = self.op("Unsqueeze", counted, self.keep("third", np.array([2])))
        return self.over_tokens(self.op("Mul", states, third), keepdims=0)

    def over_tokens(self, values: str, keepdims: int) -> str:
        return self.op("ReduceSum", values, self.keep("along", np.array([1])), keepdims=keepdims)

    def model(self, vectors: str) -> ModelProto:
        """The whole, whose output is `vectors`."""
        self._nodes.append(helper.make_node("Identity", [vectors], ["vectors"]))
        shape = ["texts", "tokens"]
        whole = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, shape)
                for name in ("ids", "mask")
            ],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", "numbers"])],
            list(self._kept.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ORT, ORT_OPSET)]
        return helper.make_model(whole, opset_imports=opsets, ir_version=IR)
