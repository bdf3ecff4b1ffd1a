"""The files that are written are PNG."""

from tests.workers.providers.builtin.pngs import read
from workers.providers.builtin.png import png


def test_what_is_written_is_read_again() -> None:
    rows: list[bytes | bytearray] = [
        bytes([1, 2, 3, 4, 5, 6]),
        bytearray([7, 8, 9, 10, 11, 12]),
        b"\xff" * 6,
    ]
    picture = read(png(2, 3, rows, "é"))
    assert (picture.width, picture.height) == (2, 3)
    assert picture.pixels == [bytes(row) for row in rows]
    assert picture.texts == {"Comment": "é"}
