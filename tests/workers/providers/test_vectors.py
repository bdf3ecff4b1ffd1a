import base64
import struct

from hypothesis import given
from hypothesis import strategies as st

from workers.providers.vectors import encoded


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=9))
def test_base64_holds_little_endian_floats(vector: list[float]) -> None:
    told = encoded(vector, "base64")
    assert isinstance(told, str)
    assert list(struct.unpack(f"<{len(vector)}f", base64.b64decode(told))) == vector


def test_floats_stay_as_they_are() -> None:
    assert encoded([0.5], "float") == encoded([0.5], None) == [0.5]
