"""Words in dots."""

from hypothesis import given
from hypothesis import strategies as st

from workers.providers.builtin.glyphs import (
    ADVANCE,
    GLYPHS,
    HEIGHT,
    WIDTH,
    dots,
    drawable,
    wrapped,
)


def drawn(line: str) -> list[str]:
    rows = []
    for row in range(HEIGHT):
        marks = [" "] * (ADVANCE * len(line))
        for start, end in dots(line, row):
            marks[start:end] = "#" * (end - start)
        rows.append("".join(marks).rstrip())
    return rows


def test_an_l_and_a_t_look_like_themselves() -> None:
    assert drawn("LT") == [
        "#     #####",
        "#       #",
        "#       #",
        "#       #",
        "#       #",
        "#       #",
        "#####   #",
    ]


def test_there_are_glyphs_of_one_size_for_letters_and_digits_no_two_alike() -> None:
    assert set(GLYPHS) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    assert {len(columns) for columns in GLYPHS.values()} == {WIDTH}
    assert max(max(columns) for columns in GLYPHS.values()) < 2**HEIGHT
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_characters_without_a_glyph_part_words() -> None:
    assert drawable("a fox, höchst-quick 42 月") == ["A", "FOX", "H", "CHST", "QUICK", "42"]


def test_words_that_do_not_fit_are_left_out_or_cut() -> None:
    assert wrapped(["ONE", "TWO", "THREE"], 7, 2) == ["ONE TWO", "THREE"]
    assert wrapped(["ONE", "TWO", "THREE"], 7, 1) == ["ONE TWO"]
    assert wrapped(["PNEUMONIA"], 4, 2) == ["PNEU"]
    assert wrapped([], 7, 2) == []


@given(st.text(), st.integers(1, 40), st.integers(1, 3))
def test_no_line_is_longer_and_there_are_not_more(text: str, columns: int, lines: int) -> None:
    made = wrapped(drawable(text), columns, lines)
    assert len(made) <= lines
    assert all(0 < len(line) <= columns for line in made)
