"""The corpus of every target, as it is and a little changed."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
ROUNDS = 60
PIECES = (
    b"", b"\0", b"null", b"[]", b"{}", b"-1", b'"', b"\\u0000", b"\xff", b"\n\n", b"\r", b"data: ",
    b"1e999", b"true", b'"index":9',
)  # fmt: skip


def changed(data: bytes, luck: random.Random) -> bytes:
    """Some bytes of `data` in another place, twice, left out or as something else."""
    for _ in range(luck.randint(1, 4)):
        begin, end = sorted(luck.choices(range(len(data) + 1), k=2))
        end = min(end, begin + luck.choice((0, 1, 4, 40)))
        put = luck.choice((*PIECES, data[begin:end] * 2, luck.randbytes(2)))
        data = data[:begin] + put + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_a_target(name: str) -> None:
    known = sorted((CORPUS / name).iterdir())
    assert known
    luck = random.Random(17)
    for path in known:
        data = path.read_bytes()
        TARGETS[name](data)
        for _ in range(ROUNDS):
            TARGETS[name](changed(data, luck))
