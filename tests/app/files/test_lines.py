"""Lines of files."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files import service
from app.files.model import LineTooLong
from app.files.service import Files


class Pieces:
    """A storage whose bytes come in pieces of the test's choice."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        return iter(self.pieces)


def lines_of(pieces: list[bytes]) -> list[bytes]:
    row: Any = SimpleNamespace(id="file_x", bytes=1)
    return list(Files(None, None, Pieces(pieces)).lines(row))  # type: ignore[arg-type]


@given(pieces=st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\x00", b"\n"))))
def test_lines_are_the_same_however_the_bytes_come(pieces: list[bytes]) -> None:
    *ended, rest = b"".join(pieces).split(b"\n")
    assert lines_of(pieces) == ended + ([rest] if rest else [])


def test_a_line_that_is_too_long_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINE_MAX", 4)
    assert lines_of([b"1234\n12", b"34\n"]) == [b"1234", b"1234"]
    for pieces in ([b"a\n12345\n"], [b"a\n123", b"45\nb"], [b"a\n12345"], [b"a\n12", b"345", b"6"]):
        with pytest.raises(LineTooLong) as raised:
            lines_of(pieces)
        assert raised.value.line == 2
