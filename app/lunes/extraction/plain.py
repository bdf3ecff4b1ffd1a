"""Plain text: its paragraphs are what blank lines part."""

import re

from app.lunes.extraction.blocks import Block, Extracted, block, clean

_BETWEEN = re.compile(r"\n[^\S\n]*\n\s*")


def read_plain(text: str) -> Extracted:
    """The paragraphs of a text, their lines kept."""
    blocks: list[Block] = []
    for part in _BETWEEN.split(clean(text)):
        blocks += block("text", part)
    return Extracted(None, blocks)
