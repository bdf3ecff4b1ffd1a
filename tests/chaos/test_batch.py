"""A batch whose every process dies on the way; more lines by `python -m tests.chaos.batch`."""

import pytest

from tests.chaos.batch import drill

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("drills")]

LINES = 300


def test_every_line_of_a_batch_ends_once_whatever_dies() -> None:
    with drill() as running:
        story = running.run(LINES)
        story.check(LINES)
        running.prove(story)
    assert len(story.struck) >= 6, story.struck
