"""Readings of texts by a model on this machine: all-MiniLM-L6-v2, trained further on feelings.

The model is loaded when it is first used; importing this costs next to nothing.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

from app.embedding.minilm import Embedder, cut
from app.emotion.reading import shipped
from app.emotion.reading.calibration import Calibration, from_json
from app.emotion.reading.model import EKMAN, LABELS, NEUTRAL, Reading
from app.emotion.reading.spelling import spelled
from app.settings import Settings

TOKENS_MAX = 48
"""Tokens of a text that are read, with the marks of its start and end: about 35 English words. The
network takes time for each, and so many are within 15 ms of CPU."""

CHARS_MAX = 1000
"""Characters of a text that are looked at for its tokens."""

MARKS = 2
"""The tokens of a text in which there is nothing to read: its start and its end."""


class Reader:
    """The model as it is kept in the data directory `home`.

    Every method raises ModelUnfit or OSError if the model cannot be loaded, and lets a process of
    gevent go on while it works.
    """

    def __init__(self, home: Path) -> None:
        self._network = Embedder(home, shipped.FEELING)

    @cached_property
    def calibration(self) -> Calibration:
        """What makes probabilities of what the network gives, and the thresholds."""
        return from_json(shipped.calibration())

    def read(self, text: str) -> Reading:
        """What one text says."""
        return self.read_many([text])[0]

    def read_many(self, texts: Sequence[str]) -> list[Reading]:
        """What each text says. Of a long one the first 48 tokens are read, and none beyond its
        first 1000 characters; one without any is neutral."""
        tokens = first_tokens(self._network, texts)
        read = [place for place, ids in enumerate(tokens) if len(ids) > MARKS]
        readings = [_nothing()] * len(texts)
        rows = self._network.encode_tokens([tokens[place] for place in read]).tolist()
        for place, row in zip(read, rows, strict=True):
            readings[place] = self.calibration.reading(row)
        return readings


def reader(settings: Settings) -> Reader:
    """The reader of this process."""
    return _reader(settings.home)


@cache
def _reader(home: Path) -> Reader:
    return Reader(home)


def first_tokens(
    network: Embedder, texts: Sequence[str], most: int = TOKENS_MAX
) -> list[Sequence[int]]:
    """The tokens of each text that are read, or so many of them."""
    begun = [spelled(text[:CHARS_MAX]) for text in texts]
    return [cut(ids, most) for ids in network.tokens(begun)]


def _nothing() -> Reading:
    """The reading of no words: neutral, and sure of it."""
    labels = {name: float(name == NEUTRAL) for name in LABELS}
    ekman = {name: float(name == NEUTRAL) for name in EKMAN}
    return Reading(0.0, 0.0, 0.0, labels, ekman, NEUTRAL, 1.0)
