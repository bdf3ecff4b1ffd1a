"""Compositions follow from the prompt, and from nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.providers.builtin.pngs import read
from workers.providers.builtin.painting import Wish, paint

WISH = Wish("a moon", None, 0, 256, 256)


def test_the_same_wish_gives_the_same_bytes() -> None:
    assert paint(WISH) == paint(replace(WISH))


@pytest.mark.parametrize(
    "other", [{"prompt": "a mood"}, {"seed": 1}, {"number": 1}, {"vivid": False}, {"smooth": False}]
)
def test_another_wish_gives_another_picture(other: dict[str, object]) -> None:
    assert paint(replace(WISH, **other)) != paint(WISH)  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=30), st.integers(256, 400), st.integers(256, 400), st.booleans())
def test_every_prompt_and_size_is_a_whole_png(
    prompt: str, width: int, height: int, smooth: bool
) -> None:
    picture = read(paint(Wish(prompt, None, 0, width, height, smooth=smooth)))
    assert (picture.width, picture.height) == (width, height)
    assert "no language model" in picture.texts["Comment"]


def test_the_words_of_the_prompt_stand_below() -> None:
    """Two prompts of one hash would differ in their words alone; one without words has none."""
    lowest = [read(paint(replace(WISH, prompt=prompt))).pixels[-40:] for prompt in ("moon", "月")]
    light = [max(sum(row[x : x + 3]) for row in rows for x in range(0, 768, 3)) for rows in lowest]
    assert light[0] > 500 > light[1]


def test_natural_colours_are_muted() -> None:
    def saturation(vivid: bool) -> int:
        picture = read(paint(replace(WISH, vivid=vivid)))
        return max(max(one) - min(one) for one in picture.colours())

    assert saturation(False) < saturation(True)


def test_soft_edges_have_colours_between() -> None:
    hard = read(paint(replace(WISH, smooth=False))).colours()
    assert len(read(paint(WISH)).colours()) > len(hard)
