"""Vectors of texts by all-MiniLM-L6-v2, on this machine and with no key.

The model is loaded when it is first used; importing this costs next to nothing.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedding.apart import apart
from app.embedding.build import MINILM, Model
from app.embedding.weights import TOKENS_MAX
from app.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.embedding.session import Session

AT_ONCE = 64
"""Texts that are made tokens in one go, so that a large request lets others between."""

ROWS_MAX = 32
PLACES_MAX = 2048
"""Texts in a batch, and places for their tokens: the memory that attention needs grows with the
number of texts and the square of their length."""


class Embedder:
    """all-MiniLM-L6-v2, or another model on its tokens, as it is kept in the data directory `home`.

    Every method raises ModelUnfit or OSError if the model cannot be loaded.
    """

    def __init__(self, home: Path, model: Model = MINILM) -> None:
        self._home, self._model = home, model
        self._session: Session | None = None

    def load(self) -> None:
        """Loads the model, so that its first use need not."""
        if self._session is None:
            apart(self._loaded)

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The vector of each text, (texts, 384), each of length 1; of a model with a head, what it
        gives, (texts, its width). Of a text with more than 256 tokens the first 256 count."""
        return self.encode_tokens(self.tokens(texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, with the two that mark its start and end."""
        return [len(ids) for some in _portions(texts) for ids in apart(self._tokens, some)]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text; of one with more than 256, 257 of them."""
        return [ids for some in _portions(texts) for ids in apart(self._first_tokens, some)]

    def encode_tokens(self, tokens: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """The vectors of texts that `tokens` gave, as `encode` does."""
        import numpy as np

        vectors = np.empty((len(tokens), self._model.width), np.float32)
        for batch in _batches([min(len(ids), TOKENS_MAX) for ids in tokens]):
            vectors[batch] = apart(self._vectors, [cut(tokens[place]) for place in batch])
        return vectors

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self._loaded().tokens(texts)

    def _first_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self._loaded().first_tokens(texts)

    def _vectors(self, tokens: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        return self._loaded().vectors(tokens)

    def _loaded(self) -> "Session":
        from app.embedding.session import Session

        if self._session is None:
            self._session = Session(self._home, self._model)
        return self._session


def embedder(settings: Settings) -> Embedder:
    """The embedder of this process."""
    return _embedder(settings.home)


@cache
def _embedder(home: Path) -> Embedder:
    return Embedder(home)


def _portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))


def cut(ids: Sequence[int], most: int = TOKENS_MAX) -> Sequence[int]:
    """At most so many of a text's tokens, the last of them the mark of the end."""
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts, those of like length together, since all in a batch cost as much as the
    longest."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place], reverse=True)
    start = 0
    while start < len(order):
        rows = max(1, min(ROWS_MAX, PLACES_MAX // lengths[order[start]]))
        yield order[start : start + rows]
        start += rows
