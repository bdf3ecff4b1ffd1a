"""Reads a PNG file back, strictly."""

import struct
import zlib
from dataclasses import dataclass


@dataclass
class Picture:
    """What a file holds: `pixels` are the rows from the top, three bytes a pixel."""

    width: int
    height: int
    pixels: list[bytes]
    texts: dict[str, str]

    def at(self, x: int, y: int) -> tuple[int, ...]:
        return tuple(self.pixels[y][x * 3 : x * 3 + 3])

    def colours(self) -> set[tuple[int, ...]]:
        return {self.at(x, y) for y in range(self.height) for x in range(self.width)}


def read(file: bytes) -> Picture:
    """Fails the test unless `file` is a whole PNG of eight bits a channel and no filters."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    place = 8
    while place < len(file):
        length, kind = struct.unpack(">I4s", file[place : place + 8])
        data = file[place + 8 : place + 8 + length]
        [check] = struct.unpack(">I", file[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + data), kind
        chunks[kind] = data
        place += 12 + length
    kinds = list(chunks)
    assert (kinds[0], kinds[-1], chunks[b"IEND"]) == (b"IHDR", b"IEND", b"")
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [8, 2, 0, 0, 0]
    raw, line = zlib.decompress(chunks[b"IDAT"]), 1 + width * 3
    assert len(raw) == height * line
    rows = [raw[at : at + line] for at in range(0, len(raw), line)]
    assert {row[0] for row in rows} == {0}
    key, _, text = chunks[b"tEXt"].partition(b"\0")
    return Picture(width, height, [row[1:] for row in rows], {key.decode(): text.decode("latin-1")})
