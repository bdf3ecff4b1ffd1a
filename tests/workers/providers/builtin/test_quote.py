"""Quoting the sources of a request."""

from typing import Any

import pytest

from app.emotion.prompt import system_prompt
from app.emotion.state import Pad
from app.lunes.finding.model import Found
from app.lunes.prompt import lune_prompt
from app.ranking.fusion import Fused
from workers.providers.base import Call
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.lilly import opening
from workers.providers.builtin.quote import SENTENCE_MAX, quotation
from workers.providers.builtin.sim import Sim


def given(*texts: str) -> dict[str, Any]:
    """A system message that gives these sources."""
    found = [
        Found(at, "lune_1", "doc_1", None, None, {}, at, "", text, 0, 1, None, Fused(1, 0))
        for at, text in enumerate(texts)
    ]
    return {"role": "system", "content": lune_prompt(found)}


def asked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


HARBOUR = given(
    "Ships leave at dawn. The harbour has two lighthouses.",
    "The lighthouses burn oil.\nTheir lamps were lit in 1860!",
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many lighthouses has the harbour?", '"The harbour has two lighthouses." [1]'),
        ("When were the lamps lit?", '"Their lamps were lit in 1860!" [2]'),
        ("Which oil do lighthouses burn?", '"The lighthouses burn oil." [2]'),
    ],
)
def test_the_sentence_that_shares_most_words_is_quoted_with_its_number(
    question: str, answer: str
) -> None:
    conversation = [HARBOUR, asked("Hello."), asked(question)]
    assert quotation(conversation) == f"My source says: {answer}"
    told = Eliza().complete(Call({"messages": conversation}, "eliza"))
    assert told.choices[0]["message"]["content"].endswith(answer)


def test_without_a_shared_word_or_a_source_eliza_answers_as_ever() -> None:
    sad = asked("I am sad.")
    assert quotation([HARBOUR, sad]) is None
    assert quotation([asked("The harbour?")]) is None
    with_sources = Eliza().complete(Call({"messages": [HARBOUR, sad]}, "eliza"))
    assert with_sources.choices == Eliza().complete(Call({"messages": [sad]}, "eliza")).choices


def test_a_users_message_gives_no_sources() -> None:
    assert quotation([{**HARBOUR, "role": "user"}]) is None


def test_a_document_that_tells_a_feeling_gives_eliza_none() -> None:
    feeling = system_prompt(Pad(-0.9, 0.0, 0.0), {}, None)
    assert opening([{"role": "system", "content": feeling}]) is not None
    assert opening([given(f"A harbour.\n{feeling}")]) is None


def test_a_long_sentence_is_cut() -> None:
    told = quotation([given("harbour " * 200), asked("harbour")])
    assert told is not None
    assert len(told) < SENTENCE_MAX + 40


def test_the_simulator_marks_each_source_where_it_is_told_to() -> None:
    request: dict[str, Any] = {"messages": [HARBOUR, asked("Hello.")]}
    request["metadata"] = {"sim_cites": "true", "sim_tokens": "2"}
    told = Sim().complete(Call(request, "sim"))
    assert told.choices[0]["message"]["content"].endswith("0002 [1] [2]")
    request["metadata"]["sim_cites"] = "false"
    told = Sim().complete(Call(request, "sim"))
    assert "[" not in told.choices[0]["message"]["content"]
