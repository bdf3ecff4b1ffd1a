"""A vector on its way to Postgres."""

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def as_text(vector: "NDArray[np.float32]") -> str:
    """A vector as pgvector reads it, `[0.1,…]`."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()
