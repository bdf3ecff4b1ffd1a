"""ELIZA as Lilly: her feeling begins the answer, and DOCTOR's own words stay whole behind it."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.prompt import STYLES, system_prompt
from app.emotion.state import Pad
from tests.app.emotion.test_words import NEGATIVE, POSITIVE, words
from workers.providers.base import Call
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.lilly import OPENINGS

axis = st.floats(-1, 1, allow_nan=False)
pads = st.builds(Pad, axis, axis, axis)
JOY = Pad(0.7, 0.4, 0.5)


def ask(*messages: tuple[str, Any], **request: Any) -> Call:
    told = [{"role": role, "content": content} for role, content in messages]
    return Call({"messages": told, **request}, "eliza")


def answer(*messages: tuple[str, Any], **request: Any) -> str:
    content = Eliza().complete(ask(*messages, **request)).choices[0]["message"]["content"]
    assert isinstance(content, str)
    return content


@given(pads, st.sampled_from([None, *STYLES]), st.lists(st.text(max_size=30), max_size=4))
def test_doctors_words_stay_whole_behind_the_opening(
    pad: Pad, style: str | None, texts: list[str]
) -> None:
    said = [("user", text) for text in texts]
    feeling = ("system", system_prompt(pad, {"curious": 0.9}, style))
    plain, felt = answer(*said), answer(feeling, *said)
    assert felt == answer(feeling, *said)
    begin = felt.removesuffix(f" {plain}")
    assert begin in OPENINGS.values()


def test_the_feeling_chooses_the_opening() -> None:
    def of(*axes: float) -> str:
        return answer(("system", system_prompt(Pad(*axes), {}, None)), ("user", "Hm"))

    rest = " I am not sure I understand you fully."
    assert of(0.7, 0.4, 0) == "I am delighted to talk with you!" + rest
    assert of(0, 0, 0) == "I am listening." + rest
    assert of(-0.7, -0.4, 0) == "I am deeply sad, and with you." + rest


def test_no_opening_contradicts_its_feeling() -> None:
    assert set(OPENINGS) == set(product(range(-2, 3), range(-1, 2)))
    assert len(set(OPENINGS.values())) == len(OPENINGS)
    for (valence, _), text in OPENINGS.items():
        said = words(text.lower())
        assert valence < 0 or not said & NEGATIVE, text
        assert valence > 0 or not said & POSITIVE, text


@pytest.mark.parametrize(
    "message",
    [
        ("system", "You are Lilly, an emotionally aware assistant."),
        ("user", system_prompt(JOY, {}, None)),
        ("assistant", system_prompt(JOY, {}, None)),
        ("system", None),
    ],
)
def test_without_a_system_message_that_tells_a_feeling_there_is_no_opening(
    message: tuple[str, Any],
) -> None:
    assert answer(message, ("user", "Men are all alike.")) == "In what way?"


def test_the_last_feeling_counts_and_a_persona_may_stand_above_it() -> None:
    both = (
        ("system", system_prompt(Pad(-0.9, 0, 0), {}, None)),
        ("user", "Hm"),
        ("system", f"You are Lilly.\n\n{system_prompt(JOY, {}, None)}"),
        ("user", "Men are all alike."),
    )
    assert answer(*both) == "I am delighted to talk with you! In what way?"


def test_the_opening_is_streamed_and_counted_as_the_rest_is() -> None:
    call = ask(("system", system_prompt(Pad(0, 0, 0), {}, None)), ("user", "Men are all alike."))
    chunks = list(Eliza().stream(call))
    deltas = [chunk.choices[0]["delta"].get("content", "") for chunk in chunks if chunk.choices]
    assert deltas == ["I", " am", " listening.", " In", " what", " way?", ""]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage["completion_tokens"] == 6
    assert answer(*[(m["role"], m["content"]) for m in call.request["messages"]], max_tokens=3) == (
        "I am listening."
    )
