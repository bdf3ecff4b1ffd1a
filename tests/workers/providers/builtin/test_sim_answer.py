"""What the simulator answers beyond its numbered words, and that its streams are well-formed."""

import json
from typing import Any

import pytest

from tests.workers.providers.builtin.test_sim_tools import TOOLS, turn
from workers.providers.base import Call, Chunk, Completion, ProviderError
from workers.providers.builtin.sim import Sim
from workers.providers.builtin.sim_answer import EFFORTS, TOKENS_MAX

AUDIO = {"type": "input_audio", "input_audio": {"data": "A" * 6400, "format": "wav"}}
PAGE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "B" * 128}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/moon.png"}}


def call(content: Any = "Hello", /, **request: Any) -> Call:
    return Call({"messages": [{"role": "user", "content": content}], **request}, "sim")


def answer(asked: Call) -> Completion:
    """The whole answer; what is streamed token by token amounts to the same."""
    whole = Sim().complete(asked)
    metadata = {**(asked.request.get("metadata") or {}), "sim_tokens_per_second": "1e6"}
    assert Sim().complete(Call({**asked.request, "metadata": metadata}, "sim")) == whole
    return whole


def message(asked: Call) -> dict[str, Any]:
    told: dict[str, Any] = answer(asked).choices[0]["message"]
    return told


def refused(asked: Call, field: str) -> None:
    with pytest.raises(ProviderError) as caught:
        Sim().complete(asked)
    assert (caught.value.kind, caught.value.status, caught.value.param) == ("invalid", 400, field)


def test_a_tool_call_comes_in_pieces() -> None:
    asked = call("the weather in Paris", tools=TOOLS, metadata={"sim_tokens_per_second": "1e6"})
    chunks: list[Chunk] = list(Sim().stream(asked))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.choices]
    assert deltas[0]["role"] == "assistant"
    assert deltas[0]["content"] is None
    opening = deltas[0]["tool_calls"][0]
    assert (opening["index"], opening["type"]) == (0, "function")
    assert opening["function"] == {"name": "get_weather", "arguments": ""}
    assert opening["id"].startswith("call_")
    pieces = [delta["tool_calls"][0] for delta in deltas[1:-1]]
    assert all(piece.keys() == {"index", "function"} for piece in pieces)
    assert len(pieces) > 3
    assert json.loads("".join(p["function"]["arguments"] for p in pieces)) == {"location": "Paris"}
    assert chunks[-1].choices[0]["finish_reason"] == "tool_calls"


def test_parallel_calls_have_ids_of_their_own() -> None:
    done = answer(call("double(1) and double(2)", tools=TOOLS))
    calls = done.choices[0]["message"]["tool_calls"]
    assert [made["function"]["arguments"] for made in calls] == ['{"x": 1}', '{"x": 2}']
    assert len({made["id"] for made in calls}) == 2
    assert done.choices[0]["message"]["content"] is None


def test_the_result_of_a_tool_is_told() -> None:
    asked = Call({"messages": turn("a", "b"), "tools": TOOLS}, "sim")
    told = answer(asked).choices[0]
    assert told["message"]["content"] == "get_weather says: a: 21 C get_weather says: b: 21 C"
    assert told["finish_reason"] == "stop"
    del asked.request["tools"]
    assert answer(asked).choices[0]["message"]["content"].startswith("get_weather says")


def test_a_json_schema_is_answered_with_what_it_allows() -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer"}},
        "required": ["colour", "count"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "order", "schema": schema}}
    text = message(call("Four? No, 5 blue ones.", response_format=form))["content"]
    assert json.loads(text) == {"colour": "blue", "count": 5}
    refused(
        call(response_format={"type": "json_schema", "json_schema": {"schema": {"not": {}}}}),
        "response_format.json_schema.schema",
    )
    refused(call(response_format={"type": "json_schema"}), "response_format")
    refused(call(response_format={"type": "yaml"}), "response_format")


def test_a_json_object_has_the_keys_that_are_quoted() -> None:
    form = {"type": "json_object"}
    told = message(call("JSON with 'setup' and \"punchline\", please", response_format=form))
    assert json.loads(told["content"]).keys() == {"setup", "punchline"}
    told = message(call("Give me JSON", response_format=form))
    assert json.loads(told["content"]) == {"answer": "answer"}


def test_the_limit_and_stops_hold_for_all_that_is_said() -> None:
    done = answer(call("double(1)", tools=TOOLS, max_tokens=3)).choices[0]
    assert done["finish_reason"] == "length"
    assert done["message"]["tool_calls"][0]["function"]["arguments"] == '{"x'
    asked = call("'a' and 'b'", response_format={"type": "json_object"}, stop=['", "b'], n=2)
    done = answer(asked).choices[1]
    assert (done["finish_reason"], done["message"]["content"]) == ("stop", '{"a": "a')
    used = answer(call(reasoning_effort="low", max_completion_tokens=6)).usage
    assert used is not None
    assert used["completion_tokens"] == used["completion_tokens_details"]["reasoning_tokens"] == 6


@pytest.mark.parametrize("effort", EFFORTS)
def test_reasoning_is_told_and_counted(effort: str) -> None:
    done = answer(call(reasoning_effort=effort, metadata={"sim_tokens": "2"}))
    thought = done.choices[0]["message"].get("reasoning_content", "")
    assert len(thought.split()) == EFFORTS[effort]
    assert len(done.choices[0]["message"]["content"].split()) == 2
    assert done.usage is not None
    assert done.usage["completion_tokens"] == EFFORTS[effort] + 2
    details = done.usage.get("completion_tokens_details", {"reasoning_tokens": 0})
    assert details == {"reasoning_tokens": EFFORTS[effort]}


def test_an_effort_that_nobody_knows_is_refused() -> None:
    refused(call(reasoning_effort="heroic"), "reasoning_effort")


@pytest.mark.parametrize("top", [0, 1, 5])
def test_log_probabilities_are_those_of_each_token(top: int) -> None:
    done = answer(call(logprobs=True, top_logprobs=top, metadata={"sim_tokens": "7"}, n=2))
    for choice in done.choices:
        entries = choice["logprobs"]["content"]
        assert "".join(e["token"] for e in entries) == choice["message"]["content"]
        for entry in entries:
            assert bytes(entry["bytes"]).decode() == entry["token"]
            assert entry["logprob"] < 0
            told = [one["logprob"] for one in entry["top_logprobs"]]
            assert len({one["token"] for one in entry["top_logprobs"]}) == len(told) == top
            assert told == sorted(told, reverse=True)
            assert told[:1] in ([], [entry["logprob"]])


def test_top_log_probabilities_need_the_others() -> None:
    refused(call(top_logprobs=2), "top_logprobs")
    refused(call(logprobs=True, top_logprobs=21), "top_logprobs")


def test_images_audio_and_files_are_counted() -> None:
    text = {"type": "text", "text": "one two three"}
    done = answer(call([text, IMAGE, AUDIO, PAGE]))
    assert done.usage is not None
    assert done.usage["prompt_tokens"] == 3 + 85 + 2 + 2
    assert done.usage["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 2}
    assert done.usage["total_tokens"] == done.usage["prompt_tokens"] + 32


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url"}, "image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": ""}}, "input_audio.data"),
        ({"type": "file", "file": {}}, "file.file_data"),
    ],
)
def test_a_part_that_holds_nothing_is_refused(part: dict[str, Any], field: str) -> None:
    refused(call([part]), f"messages.0.content.0.{field}")


def test_cached_tokens_are_told_as_asked_and_never_more_than_the_prompt() -> None:
    for asked, told in (("2", 2), ("9", 3)):
        used = answer(call("one two three", metadata={"sim_cached_tokens": asked})).usage
        assert used is not None
        assert used["prompt_tokens_details"]["cached_tokens"] == told


def test_an_answer_is_no_longer_than_the_model_says() -> None:
    names = [f"p{number}" for number in range(900)]
    properties = {name: {"type": "string"} for name in names}
    schema = {"type": "object", "properties": properties, "required": names}
    tool = {"type": "function", "function": {"name": "wide", "parameters": schema}}
    done = answer(call("wide() and wide()", tools=[tool]))
    assert done.choices[0]["finish_reason"] == "length"
    assert done.usage is not None
    assert done.usage["completion_tokens"] == TOKENS_MAX
    form = {"type": "json_schema", "json_schema": {"name": "wide", "schema": schema}}
    assert answer(call(response_format=form)).usage == done.usage | {
        "prompt_tokens": 1, "total_tokens": TOKENS_MAX + 1,
    }  # fmt: skip


def test_a_break_is_counted_in_all_that_is_said() -> None:
    asked = call("double(1)", tools=TOOLS, metadata={"sim_cut_after": "2"})
    with pytest.raises(ProviderError) as caught:
        Sim().complete(asked)
    assert caught.value.kind == "incomplete"
