"""What is read out of a chat request, whatever vendor it goes to."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers import anthropic_form, gemini_form
from workers.providers.base import Call, ProviderError
from workers.providers.conversation import (
    Blob,
    blob,
    decoded,
    format_of,
    functions_of,
    max_tokens_of,
    parts_of,
    stops_of,
    text_of,
    tool_choice_of,
)


@given(st.binary(min_size=1))
def test_a_data_url_gives_back_what_it_holds(data: bytes) -> None:
    plain = base64.b64encode(data).decode()
    quoted = "".join(f"%{byte:02x}" for byte in data)
    expected = Blob("image/png", plain)
    assert blob(f"data:image/png;base64,{plain}", "p") == expected
    assert blob(f"Data:IMAGE/PNG;name=a.png;base64,{plain}", "p") == expected
    assert blob(f"data:image/png,{quoted}", "p") == expected


@given(st.text(min_size=1))
def test_text_in_a_data_url_is_text_again(text: str) -> None:
    told = base64.b64encode(text.encode()).decode()
    found = blob(f"data:;base64,{told}", "p")
    assert found is not None
    assert (found.media_type, decoded(found, "p")) == ("text/plain", text)


def test_another_url_holds_nothing_here() -> None:
    assert blob("https://moon.test/data:a,b", "p") is None
    assert blob("", "p") is None


def test_the_parts_of_a_message_have_their_places() -> None:
    text = {"type": "text", "text": "a"}
    refusal = {"type": "refusal", "refusal": "b"}
    parts = [*parts_of({"content": [text, refusal]}, "messages.3")]
    assert [(part.kind, part.path) for part in parts] == [
        ("text", "messages.3.content.0"), ("refusal", "messages.3.content.1"),
    ]  # fmt: skip
    assert text_of({"content": [text, refusal]}, "m") == "ab"
    assert [part.path for part in parts_of({"content": "a"}, "m")] == ["m.content"]
    assert [*parts_of({"content": None}, "m")] == []


def test_what_is_not_said_has_its_default() -> None:
    assert functions_of({}) == []
    assert tool_choice_of({}, []) == ("auto", "")
    assert tool_choice_of({"tool_choice": "none"}, []) == ("none", "")
    assert format_of({}) == ("text", {})
    assert stops_of({}) == []
    assert stops_of({"stop": "x"}) == ["x"]
    assert max_tokens_of({}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "function", "name", "id", "arguments", "google", "json_schema",
                         "schema", "parameters", "signature", "text", "url", "file", "image_url"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
OBJECTS = st.dictionaries(
    st.sampled_from(["type", "function", "name", "json_schema", "text", "image_url", "file",
                     "input_audio", "cache_control", "custom", "extra_content"]), JSON,
    max_size=4,
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"])},
    optional={
        "content": st.none() | st.text(max_size=3) | st.lists(OBJECTS, max_size=3),
        "tool_calls": JSON | st.lists(OBJECTS, max_size=2), "tool_call_id": JSON,
        "thinking_blocks": JSON, "name": JSON, "cache_control": JSON,
    },
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, min_size=1, max_size=3)},
    optional={
        "tools": st.lists(OBJECTS, max_size=2), "tool_choice": st.text(max_size=4) | OBJECTS,
        "response_format": OBJECTS, "reasoning_effort": st.text(max_size=4),
    },
)  # fmt: skip
"""What passes the door of chat completions, as far as it is read here."""


@pytest.mark.parametrize("body_of", [anthropic_form.body_of, gemini_form.body_of])
@given(REQUESTS)
def test_what_is_not_of_openais_form_is_refused_by_a_field(
    body_of: Any, request_: dict[str, Any]
) -> None:
    try:
        assert body_of(Call(request_, "m"))
    except ProviderError as error:
        named = (error.kind, str(error.param).partition(".")[0])
    else:
        return
    assert named in {("invalid", name) for name in (*request_, "messages")}
