"""Every adapter of a provider's HTTP API against its vendor's wire format, by one suite.

What a kind is asked is generated from `app.catalogue.abilities`: what it declares must arrive, and
what it does not must be refused by name. The vendors are in `tests.workers.providers.vendors`.
"""

import json
from base64 import b64decode
from typing import Any

import pytest

from app.catalogue.abilities import ABILITIES, unable
from app.catalogue.model import BUILTIN_KINDS
from tests.workers.providers.asking import VENDORS, answer, call, every, said, ways
from tests.workers.providers.vendors.base import (
    IMAGE,
    KEY,
    MODEL,
    OPERATIONS,
    VECTORS,
    Reply,
    Said,
    ToolSaid,
    UsageSaid,
    Vendor,
    base_url,
    playing,
    requests,
)
from workers.providers.base import OPERATORS, Call, ProviderError, operator
from workers.providers.transport import GeventTransport

MESSAGES = [
    {"role": "system", "content": "Answer as a poet. é"},
    {"role": "user", "content": "What is the moon?"},
    {"role": "assistant", "content": "A lamp."},
    {"role": "user", "content": "Whose?\n\ndata: [DONE]"},
]
PARAMETERS = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
TOOL = {
    "type": "function",
    "function": {"name": "phase", "description": "The moon's.", "parameters": PARAMETERS},
}
LOOK = ToolSaid("call_1", "phase", ('{"a', 't": "no', 'on \\u00e9"}'))
AGAIN = ToolSaid("call_2", "tide", ('{"at":', ' "dusk"}'))

FIELDS: dict[str, Any] = {
    "temperature": 0.25,
    "top_p": 0.75,
    "top_k": 30,
    "min_p": 0.125,
    "seed": 7,
    "stop": ["END", "\n\n"],
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "repetition_penalty": 1.25,
    "logit_bias": {"50256": -100},
    "n": 2,
    "max_tokens": 77,
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "logprobs": True,
}
"""A value of each request field that every vendor who has it can take as it is."""

NEEDS: dict[str, dict[str, Any]] = {
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL], "tool_choice": "auto"},
}
"""What a field only means something with."""


def test_every_kind_that_speaks_http_has_a_vendor() -> None:
    assert {vendor.kind for vendor in VENDORS} == set(ABILITIES) - BUILTIN_KINDS


@every
@ways
def test_an_answer_is_given_as_it_was_said(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    what = Said()
    told, _ = answer(vendor, transport, call(), said(vendor, what, streamed), streamed)
    [choice] = told.choices
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == what.text
    assert not choice["message"].get("tool_calls")
    assert not choice["message"].get("reasoning_content")


@every
@ways
@pytest.mark.parametrize("usage", [UsageSaid(), UsageSaid(prompt=5, cached=0, completion=1)])
def test_usage_is_told_in_openais_counts(
    vendor: Vendor, transport: GeventTransport, usage: UsageSaid, streamed: bool
) -> None:
    told, _ = answer(vendor, transport, call(), said(vendor, Said(usage=usage), streamed), streamed)
    assert told.usage is not None
    assert told.usage["prompt_tokens"] == usage.prompt
    assert told.usage["completion_tokens"] == usage.completion
    assert told.usage["total_tokens"] == usage.prompt + usage.completion
    details = told.usage.get("prompt_tokens_details") or {}
    assert (details.get("cached_tokens") or 0) == usage.cached


@every
@ways
def test_usage_that_is_not_told_is_none(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    reply = said(vendor, Said(usage=None), streamed)
    assert answer(vendor, transport, call(), reply, streamed)[0].usage is None


@every
@ways
def test_the_vendor_hears_model_key_and_conversation(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    reply = said(vendor, Said(), streamed)
    _, heard = answer(vendor, transport, call(MESSAGES), reply, streamed)
    assert (heard.model, heard.key, heard.streamed) == (MODEL, KEY, streamed)
    assert heard.messages == MESSAGES
    assert heard.fields.keys() <= {"max_tokens"}


@every
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_arrives_or_is_refused_by_name(
    vendor: Vendor, transport: GeventTransport, name: str
) -> None:
    fields = {**NEEDS.get(name, {}), name: FIELDS[name]}
    refused = unable(vendor.kind, {"messages": [], **fields})
    if refused is not None:
        assert refused in fields
        return
    reply = said(vendor, Said(), True)
    _, heard = answer(vendor, transport, call(**fields), reply, True)
    assert {key: heard.fields.get(key) for key in fields} == fields


PARTS: dict[str, dict[str, Any]] = {
    "image_url": {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    "file": {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
    },
    "input_audio": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
}


@every
@pytest.mark.parametrize("kind", PARTS)
def test_a_part_arrives_or_is_refused_by_its_place(
    vendor: Vendor, transport: GeventTransport, kind: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "See"}, PARTS[kind]]}]
    refused = unable(vendor.kind, {"messages": messages})
    if refused is not None:
        assert refused == "messages.0.content.1.type"
        return
    reply = said(vendor, Said(), False)
    _, heard = answer(vendor, transport, call(messages), reply, False)
    [message] = heard.messages
    text, part = message["content"]
    assert (message["role"], text) == ("user", {"type": "text", "text": "See"})
    assert part["type"] == kind
    assert {**PARTS[kind][kind], **part[kind]} == PARTS[kind][kind], "nothing else is told"
    assert part[kind].keys() | {"filename"} == PARTS[kind][kind].keys() | {"filename"}


def _has_tools(vendor: Vendor) -> bool:
    return unable(vendor.kind, {"tools": [TOOL]}) is None


tooled = pytest.mark.parametrize(
    "vendor", [one for one in VENDORS if _has_tools(one)], ids=lambda vendor: vendor.name
)


@tooled
@ways
@pytest.mark.parametrize("texts", [(), ("Let me ", "look.")], ids=["alone", "after-text"])
@pytest.mark.parametrize("tools", [(LOOK,), (LOOK, AGAIN)], ids=["one", "two"])
def test_tool_calls_are_put_together(
    vendor: Vendor,
    transport: GeventTransport,
    tools: tuple[ToolSaid, ...],
    texts: tuple[str, ...],
    streamed: bool,
) -> None:
    reply = said(vendor, Said(texts=texts, tools=tools), streamed)
    told, _ = answer(vendor, transport, call(tools=[TOOL]), reply, streamed)
    [choice] = told.choices
    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"].get("content") or "") == "".join(texts)
    calls = choice["message"]["tool_calls"]
    assert [one["type"] for one in calls] == ["function"] * len(tools)
    assert [one["function"]["name"] for one in calls] == [tool.name for tool in tools]
    for one, tool in zip(calls, tools, strict=True):
        assert decoded(one["function"]["arguments"]) == decoded(tool.arguments)
    ids = [one["id"] for one in calls]
    assert len(set(ids)) == len(ids)
    if vendor.keeps_ids:
        assert ids == [tool.id for tool in tools]


@tooled
def test_tool_calls_and_their_results_go_back(vendor: Vendor, transport: GeventTransport) -> None:
    calls: list[dict[str, Any]] = [
        {"id": tool.id, "type": "function",
         "function": {"name": tool.name, "arguments": tool.arguments}}
        for tool in (LOOK, AGAIN)
    ]  # fmt: skip
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": LOOK.id, "content": '{"phase": "full"}'},
        {"role": "tool", "tool_call_id": AGAIN.id, "content": "high, é"},
        {"role": "user", "content": "And?"},
    ]
    reply = said(vendor, Said(), True)
    _, heard = answer(vendor, transport, call(messages, tools=[TOOL]), reply, True)
    assert [message["role"] for message in heard.messages] == [one["role"] for one in messages]
    _, asked, first, second, last = heard.messages
    assert not asked["content"]
    for one, wanted in zip(asked["tool_calls"], calls, strict=True):
        assert one["function"]["name"] == wanted["function"]["name"]
        assert decoded(one["function"]["arguments"]) == decoded(wanted["function"]["arguments"])
    assert (first["content"], second["content"]) == ('{"phase": "full"}', "high, é")
    assert last["content"] == "And?"
    if vendor.keeps_ids:
        assert [one["id"] for one in asked["tool_calls"]] == [LOOK.id, AGAIN.id]
        assert [first["tool_call_id"], second["tool_call_id"]] == [LOOK.id, AGAIN.id]


def decoded(arguments: Any) -> Any:
    """Arguments as values: a vendor may write the same JSON in another way."""
    return json.loads(arguments)


thinking = pytest.mark.parametrize(
    "vendor", [one for one in VENDORS if one.thinks], ids=lambda vendor: vendor.name
)


@thinking
@ways
def test_thoughts_travel_apart_from_the_answer(
    vendor: Vendor, transport: GeventTransport, streamed: bool
) -> None:
    usage = UsageSaid(completion=13, reasoning=6)
    what = Said(thoughts=("Hmm, ", "a lamp? é"), usage=usage)
    told, _ = answer(vendor, transport, call(), said(vendor, what, streamed), streamed)
    [choice] = told.choices
    assert choice["message"]["reasoning_content"] == "Hmm, a lamp? é"
    assert choice["message"]["content"] == what.text
    assert told.usage is not None
    assert told.usage["completion_tokens"] == 13
    if vendor.counts_reasoning:
        assert told.usage["completion_tokens_details"]["reasoning_tokens"] == 6


@pytest.mark.parametrize(
    ("vendor", "word"),
    [(vendor, word) for vendor in VENDORS for word in vendor.finishes],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
@ways
def test_why_an_answer_ended_is_said_in_openais_words(
    vendor: Vendor, transport: GeventTransport, word: str, streamed: bool
) -> None:
    reply = said(vendor, Said(finish=word), streamed)
    told, _ = answer(vendor, transport, call(), reply, streamed)
    assert told.choices[0]["finish_reason"] == vendor.finishes[word]


OPERATION_CASES = [(vendor, name) for vendor in VENDORS for name in OPERATORS]


@pytest.mark.parametrize(
    ("vendor", "operation"),
    OPERATION_CASES,
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_operation_is_done_or_refused(
    vendor: Vendor, transport: GeventTransport, operation: str
) -> None:
    one = Call(OPERATIONS[operation], MODEL)
    if operation not in ABILITIES[vendor.kind].operations:
        with pytest.raises(ProviderError) as raised:
            operator(vendor.provider(transport, "http://127.0.0.1:9", KEY), operation)
        assert (raised.value.kind, raised.value.param) == ("invalid", "model")
        return
    with playing(vendor.answer(operation)) as server:
        provider = vendor.provider(transport, base_url(server), KEY)
        told = operator(provider, operation)(one)
        [request] = requests(server)
    assert vendor.asked(operation, request) == OPERATIONS[operation]
    assert not {"model", "usage"} & told.body.keys()
    if operation == "embedding":
        rows = [(row["object"], row["index"], row["embedding"]) for row in told.body["data"]]
        assert rows == [("embedding", at, vector) for at, vector in enumerate(VECTORS)]
    elif operation == "image":
        assert [b64decode(row["b64_json"]) for row in told.body["data"]] == [IMAGE]
        assert told.usage is not None
        assert told.usage["images"] == 1
    else:
        assert told.body["text"] == "a moon"


@every
@ways
@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_a_refusal_that_repeats_the_key_is_told_without_it(
    vendor: Vendor, transport: GeventTransport, streamed: bool, status: int
) -> None:
    told = {"type": "error", "error": {"type": "api_error", "message": f"Wrong: Bearer {KEY}!"}}
    reply = Reply((json.dumps(told).encode(),), status)
    with pytest.raises(ProviderError) as raised:
        answer(vendor, transport, call(), reply, streamed)
    assert raised.value.message == "Wrong: Bearer ***!"
    assert KEY not in repr(raised.value)
