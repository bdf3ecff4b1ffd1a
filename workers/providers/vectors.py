"""Embeddings in the encoding that a client asked for."""

from array import array
from base64 import b64encode


def encoded(vector: list[float], encoding_format: str | None) -> list[float] | str:
    """The vector as `base64` of its little-endian float32, else as it is."""
    if encoding_format != "base64":
        return vector
    return b64encode(array("f", vector).tobytes()).decode()
