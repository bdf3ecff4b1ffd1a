"""A PNG file out of rows of pixels (W3C, Portable Network Graphics, third edition, section 5)."""

import struct
import zlib
from collections.abc import Iterable

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUECOLOUR = 2
_NO_FILTER = b"\0"
_LEVEL = 6


def png(width: int, height: int, rows: Iterable[bytes | bytearray], comment: str) -> bytes:
    """The file of an image: `rows` from the top, three bytes a pixel; `comment` is Latin-1."""
    head = struct.pack(">IIBBBBB", width, height, 8, _TRUECOLOUR, 0, 0, 0)
    data = zlib.compress(b"".join(part for row in rows for part in (_NO_FILTER, row)), _LEVEL)
    return b"".join((
        _SIGNATURE,
        _chunk(b"IHDR", head),
        _chunk(b"tEXt", b"Comment\0" + comment.encode("latin-1")),
        _chunk(b"IDAT", data),
        _chunk(b"IEND", b""),
    ))  # fmt: skip


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
