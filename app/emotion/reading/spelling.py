"""Text as MiniLM's vocabulary can read it: it has no emoji, which carry much of a feeling."""

import re
import unicodedata

QUOTES = str.maketrans("‘’“”", "''\"\"")
UNSPOKEN = re.compile("[\u2640\u2642\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
"""What says of which sex, colour and form a picture is."""

PICTURES = re.compile("([\u2600-\u27bf\U0001f300-\U0001faff])\\1*")
"""A sign of the blocks Miscellaneous Symbols and Dingbats or of the blocks of emoji, once or more
in a row."""


def spelled(text: str) -> str:
    """`text` with the Unicode name of each emoji in its place, once for a row of the same, and
    straight quotes."""
    if text.isascii():
        return text
    return PICTURES.sub(_name, UNSPOKEN.sub("", text.translate(QUOTES)))


def _name(found: re.Match[str]) -> str:
    return f" {unicodedata.name(found[1], '').lower()} "
