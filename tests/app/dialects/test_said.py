"""Pieces of an answer whose chunks have the oddities of vendors."""

from typing import Any

from app.dialects.reading import unmarked
from app.dialects.said import Said
from tests.app.dialects.told import delta, snapshot


def pieces(said: Said, *deltas: dict[str, Any]) -> list[tuple[str, int, str]]:
    found = said.delta(delta(*deltas)[1])
    return [(p.kind, p.call, p.text or p.told.get("name", "")) for p in found]


def call(**told: Any) -> dict[str, Any]:
    name, arguments = told.pop("name", None), told.pop("arguments", None)
    return {"tool_calls": [{**told, "function": {"name": name, "arguments": arguments}}]}


def test_a_call_begins_once_its_name_is_known() -> None:
    said = Said()
    assert pieces(said, call(index=0, id="a", arguments="{")) == []
    assert pieces(said, call(index=0, name="f"), call(index=0, arguments="}")) == [
        ("call", 0, "f"), ("arguments", 0, "{"), ("arguments", 0, "}"),
    ]  # fmt: skip


def test_a_name_that_comes_again_begins_nothing() -> None:
    said = Said()
    pieces(said, call(index=0, id="a", name="f"))
    assert pieces(said, call(index=0, name="f", arguments="{}")) == [("arguments", 0, "{}")]


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    said = Said()
    told = pieces(
        said, call(id="a", name="f", arguments="1"), call(arguments="2"),
        call(id="b", name="g", arguments="3"), call(id="a", arguments="4"),
    )  # fmt: skip
    assert told == [
        ("call", 0, "f"), ("arguments", 0, "1"), ("arguments", 0, "2"), ("call", 1, "g"),
        ("arguments", 1, "3"), ("arguments", 0, "4"),
    ]  # fmt: skip


def test_other_choices_are_not_told() -> None:
    said = Said()
    assert said.delta(b'{"index":1,"delta":{"content":"other"}}') == []
    assert not said.spoke


def test_a_snapshot_that_says_less_contradicts() -> None:
    for known, other in (
        ({"content": "so far"}, {"content": "so"}),
        ({"reasoning_content": "why"}, {"content": "why"}),
        (call(index=0, id="a", name="f"), {"content": None}),
        (call(index=0, id="a", name="f"),
         {"tool_calls": [{"id": "a", "function": {"name": "g", "arguments": ""}}]}),
        (call(index=0, id="a", name="f", arguments="{"),
         {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "["}}]}),
    ):  # fmt: skip
        said = Said()
        pieces(said, known)
        assert said.snapshot(snapshot(other)[1]) is None
        assert said.snapshot(b'{"choices":[]}') is None


def test_log_probabilities_go_with_their_text_once() -> None:
    said = Said()
    one, two = {"token": "a"}, {"token": "b"}
    choice = b'{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}'
    assert list(said.delta(choice)[0].logprobs) == [one]
    whole = b'{"choices":[{"index":0,"message":{"content":"ab"},'
    whole += b'"logprobs":{"content":[{"token":"a"},{"token":"b"}]}}]}'
    [piece] = said.snapshot(whole) or []
    assert (piece.text, list(piece.logprobs)) == ("b", [two])


def test_marks_are_left_out_and_a_message_of_thoughts_alone_goes() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    thoughts = {"thinking_blocks": [{"type": "thinking"}]}
    assert unmarked([
        {"role": "user", "content": [{"type": "text", "text": "x", **mark}]},
        {"role": "assistant", "content": None, **thoughts},
        {"role": "assistant", "content": "so", **thoughts},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "1", **mark},
    ]) == [
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "content": "so"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]  # fmt: skip
