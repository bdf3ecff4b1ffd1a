"""How long a recording is, as far as its bytes tell without decoding them."""

import struct

WORST_BYTES_A_SECOND = 1000
"""8 kbit/s, below which codecs of speech hardly go (Opus: 6 kbit/s at the least, RFC 6716)."""

USUAL_BYTES_A_SECOND = 8000
"""64 kbit/s, which recordings of speech mostly have."""

_BYTE_TAGS = frozenset({1, 3, 6, 7, 0xFFFE})
"""Formats whose samples have all the same size: PCM, float, A-law, µ-law, extensible (Microsoft,
Multimedia Data Standards Update, 1994)."""


def seconds_at_most(recording: bytes) -> float:
    """The most seconds that a file can last: exact for WAV, else reckoned at 8 kbit/s."""
    exact = wav_seconds(recording)
    return len(recording) / WORST_BYTES_A_SECOND if exact is None else exact


def seconds_likely(recording: bytes) -> float:
    """The seconds that are charged where a provider tells none: exact for WAV, else reckoned at
    64 kbit/s."""
    exact = wav_seconds(recording)
    return len(recording) / USUAL_BYTES_A_SECOND if exact is None else exact


def wav_seconds(recording: bytes) -> float | None:
    """The seconds of a WAV file by its header and its size; None for what is none, and for codecs
    in it whose samples differ in size."""
    if recording[:4] != b"RIFF" or recording[8:12] != b"WAVE":
        return None
    place, second = 12, 0
    while place + 8 <= len(recording):
        kind, size = struct.unpack_from("<4sI", recording, place)
        place += 8
        if kind == b"fmt " and place + 16 <= len(recording):
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", recording, place)
            second = rate * channels * (bits // 8) if tag in _BYTE_TAGS else 0
        elif kind == b"data":
            # What is written while it is recorded says nothing, or more than there is.
            rest = len(recording) - place
            return min(size or rest, rest) / second if second else None
        place += size + size % 2
    return None
