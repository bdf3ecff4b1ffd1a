"""How long recordings are."""

import struct
import wave
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dialects.audio import seconds_at_most, seconds_likely, wav_seconds


def wav(seconds: float, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(b"\0" * (int(seconds * rate) * channels * width))
    return file.getvalue()


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(8000, 1, 1), (16000, 1, 2), (44100, 2, 2), (48000, 2, 4)]
)
def test_a_wav_file_tells_its_length(rate: int, channels: int, width: int) -> None:
    recording = wav(2, rate, channels, width)
    assert wav_seconds(recording) == pytest.approx(2)
    assert seconds_at_most(recording) == seconds_likely(recording) == wav_seconds(recording)


@pytest.mark.parametrize("told", [0, 0xFFFFFFFF], ids=["nothing", "too much"])
def test_a_wav_file_that_was_streamed_is_as_long_as_it_is(told: int) -> None:
    recording = bytearray(wav(2))
    struct.pack_into("<I", recording, 40, told)
    assert wav_seconds(bytes(recording)) == pytest.approx(2)


def test_what_stands_before_and_behind_the_samples_is_not_heard() -> None:
    plain = wav(2)
    chunk = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert wav_seconds(plain[:12] + chunk + plain[12:] + chunk) == pytest.approx(2)


def test_other_codecs_in_a_wav_file_are_reckoned() -> None:
    recording = bytearray(wav(2))
    struct.pack_into("<H", recording, 20, 85)
    assert wav_seconds(bytes(recording)) is None
    assert seconds_at_most(bytes(recording)) == len(recording) / 1000


@pytest.mark.parametrize(
    "recording",
    [b"", b"ID3\4", b"RIFF", wav(1)[:20], wav(1)[:38], wav(1)[:12] + b"data\1\0\0\0a"],
    ids=["nothing", "mp3", "a mark", "half a header", "no samples", "no format"],
)
def test_what_tells_nothing_is_reckoned_by_its_size(recording: bytes) -> None:
    assert wav_seconds(recording) is None
    assert seconds_at_most(recording) == len(recording) / 1000
    assert seconds_likely(recording) == len(recording) / 8000


@given(st.binary(max_size=100), st.integers(0, 60))
def test_any_bytes_have_a_length_and_what_is_charged_is_never_more_than_what_is_held(
    tail: bytes, keep: int
) -> None:
    recording = wav(0.01)[:keep] + tail
    assert 0 <= seconds_likely(recording) <= seconds_at_most(recording)
