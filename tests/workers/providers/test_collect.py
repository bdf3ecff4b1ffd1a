"""Collector: whatever way a completion is cut into deltas, it comes back whole."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Chunk, ProviderError
from workers.providers.collect import Collector, collect

TEXT = st.text(max_size=30)
TOKEN = st.fixed_dictionaries({"token": TEXT, "logprob": st.floats(-9, 0), "bytes": st.none()})
CALL = st.one_of(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": st.text(min_size=1), "arguments": TEXT}),
        }
    ),
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1),
            "type": st.just("custom"),
            "custom": st.fixed_dictionaries({"name": st.text(min_size=1), "input": TEXT}),
        }
    ),
)
CHOICE = st.fixed_dictionaries(
    {
        "message": st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": st.none() | TEXT},
            optional={
                "refusal": TEXT,
                "reasoning_content": TEXT,
                "tool_calls": st.lists(CALL, min_size=1, max_size=3),
                "annotations": st.lists(st.dictionaries(TEXT, TEXT), min_size=1, max_size=3),
            },
        ),
        "logprobs": st.none() | st.fixed_dictionaries({"content": st.lists(TOKEN, max_size=4)}),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    }
)


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """`text` cut at random places, perhaps with empty pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def call_deltas(draw: st.DrawFn, call: dict[str, Any], index: int) -> list[dict[str, Any]]:
    """A tool call as it is streamed: the names with the first piece, then the long string."""
    payload, long = ("function", "arguments") if "function" in call else ("custom", "input")
    first, *rest = pieces(draw, call[payload][long])
    opening = {**call, "index": index, payload: {**call[payload], long: first}}
    return [opening] + [{"index": index, payload: {long: piece}} for piece in rest]


def interleave(draw: st.DrawFn, lanes: list[list[Any]]) -> list[Any]:
    """The items of all lanes, each lane in its order."""
    order = draw(st.permutations([at for at, lane in enumerate(lanes) for _ in lane]))
    sources = [iter(lane) for lane in lanes]
    return [next(sources[at]) for at in order]


def choice_deltas(draw: st.DrawFn, choice: dict[str, Any], index: int) -> list[dict[str, Any]]:
    message = choice["message"]
    lanes: list[list[dict[str, Any]]] = []
    for key, value in message.items():
        if isinstance(value, str) and key != "role":
            lanes.append([{"delta": {key: piece}} for piece in pieces(draw, value)])
    lanes.append([{"delta": {"annotations": [note]}} for note in message.get("annotations", [])])
    for at, call in enumerate(message.get("tool_calls", [])):
        deltas = call_deltas(draw, call, at)
        lanes.append([{"delta": {"tool_calls": [delta]}} for delta in deltas])
    if choice["logprobs"] is not None:
        entries = [[entry] for entry in choice["logprobs"]["content"]] or [[]]
        lanes.append([{"delta": {}, "logprobs": {"content": entry}} for entry in entries])
    opening = {"delta": {"role": "assistant", "content": None}, "finish_reason": None}
    closing = {"delta": {}, "finish_reason": choice["finish_reason"], "logprobs": None}
    return [{"index": index, **d} for d in [opening, *interleave(draw, lanes), closing]]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Chunk]]:
    """Whole choices, and a stream that amounts to them."""
    choices = draw(st.lists(CHOICE, min_size=1, max_size=3))
    deltas = interleave(draw, [choice_deltas(draw, c, at) for at, c in enumerate(choices)])
    chunks: list[Chunk] = []
    while deltas:
        size = draw(st.integers(1, len(deltas)))
        chunks.append(Chunk(deltas[:size]))
        deltas = deltas[size:]
    return [{"index": at, **choice} for at, choice in enumerate(choices)], chunks


@given(streams())
def test_a_stream_collects_to_the_choices_it_was_cut_from(
    case: tuple[list[dict[str, Any]], list[Chunk]],
) -> None:
    whole, chunks = case
    done = collect(chunks)
    assert done.choices == whole
    assert done.usage is None


@given(streams())
def test_text_and_finished_follow_the_stream(
    case: tuple[list[dict[str, Any]], list[Chunk]],
) -> None:
    whole, chunks = case
    collector = Collector()
    assert not collector.finished()
    seen: set[int] = set()
    ended: set[int] = set()
    for chunk in chunks:
        collector.add(chunk.choices)
        seen |= {choice["index"] for choice in chunk.choices}
        ended |= {choice["index"] for choice in chunk.choices if choice.get("finish_reason")}
        assert collector.finished() == (seen == ended)
    for index, choice in enumerate(whole):
        assert collector.text(index) == (choice["message"]["content"] or "")
    assert collector.text(len(whole)) == ""


def delta(**fields: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": fields}]


def message_of(*deltas: dict[str, Any]) -> dict[str, Any]:
    collector = Collector()
    for fields in deltas:
        collector.add(delta(**fields))
    message = collector.choices()[0]["message"]
    assert isinstance(message, dict)
    return message


def test_choices_are_a_copy_that_later_chunks_leave_alone() -> None:
    collector = Collector()
    collector.add([{"index": 0, "delta": {"x": ["a"]}, "logprobs": {"content": [{"token": "a"}]}}])
    before = collector.choices()
    collector.add([{"index": 0, "delta": {"x": ["b"]}, "logprobs": {"content": [{"token": "b"}]}}])
    assert before[0]["message"]["x"] == ["a"]
    assert before[0]["logprobs"] == {"content": [{"token": "a"}]}


def test_logprobs_that_are_null_stay_null_until_told() -> None:
    collector = Collector()
    collector.add([{"index": 0, "logprobs": {"content": None, "refusal": None}}])
    collector.add([{"index": 0, "logprobs": {"content": [1], "refusal": None}}])
    assert collector.choices()[0]["logprobs"] == {"content": [1], "refusal": None}


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    message = message_of(
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]},
        {"tool_calls": [{"function": {"arguments": "{"}}]},
        {"tool_calls": [{"id": "b", "type": "function", "function": {"name": "g"}}]},
        {"tool_calls": [{"function": {"arguments": "[]"}}]},
        {"tool_calls": [{"id": "a", "function": {"arguments": "}"}}]},
    )
    assert message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]


def test_ids_and_names_told_again_or_as_empty_stand_once() -> None:
    message = message_of(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": "1"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "2"}}]},
        {"tool_calls": [{"index": 0, "id": None, "function": {"name": None, "arguments": None}}]},
    )
    assert message["tool_calls"] == [{"id": "a", "function": {"name": "f", "arguments": "12"}}]


def test_the_strings_of_a_function_call_are_concatenated() -> None:
    message = message_of(
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{"}},
        {"function_call": {"arguments": "}"}},
    )
    assert message["function_call"] == {"name": "f", "arguments": "{}"}


def test_fields_that_are_neither_text_nor_list_are_set() -> None:
    assert message_of({"score": 1}, {"score": 2}, {"score": None})["score"] == 2


def test_the_last_finish_reason_and_usage_stand() -> None:
    one, two = {"total_tokens": 1}, {"total_tokens": 2}
    done = collect(
        [
            Chunk([{"index": 0, "delta": {}, "finish_reason": "length"}], one),
            Chunk([{"index": 0, "delta": None, "finish_reason": "stop"}], two),
            Chunk([{"index": 0, "delta": {}, "finish_reason": None}]),
        ]
    )
    assert done.choices[0]["finish_reason"] == "stop"
    assert done.usage == two


@pytest.mark.parametrize(
    "choices",
    [
        delta(content=["part"]),
        delta(role=1),
        delta(tool_calls=["call"]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": {}}}]),
        delta(tool_calls=7),
        [{"index": 0, "delta": "text"}],
        [{"index": 0, "logprobs": {"content": 3}}],
        ["choice"],
        [None],
        None,
    ],
)
def test_malformed_choices_are_a_protocol_error(choices: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        Collector().add(choices)
    assert caught.value.kind == "protocol"


@pytest.mark.parametrize("chunks", [[], [Chunk([])], [Chunk(delta(content="Hi"))]])
def test_a_stream_without_its_finish_reason_is_incomplete(chunks: list[Chunk]) -> None:
    with pytest.raises(ProviderError) as caught:
        collect(chunks)
    assert caught.value.kind == "incomplete"
