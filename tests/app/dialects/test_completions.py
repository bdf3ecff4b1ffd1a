"""Text completions as chat completions, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dialects.completions import (
    MAX_TOKENS,
    Text,
    chat_request,
    legacy_logprobs,
    prompts_of,
    text_completion,
    texts_of,
)

PIECES = st.lists(st.text(max_size=5), max_size=8)


def token(text: str, logprob: float, **others: float) -> dict[str, Any]:
    tops = [{"token": name, "logprob": value, "bytes": None} for name, value in others.items()]
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": tops}


def chat_choice(index: int, text: str | None, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"index": index, "message": message, "finish_reason": "stop", "logprobs": None, **more}


def completion(*choices: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": list(choices),
        "usage": {"total_tokens": 3},
    }


def test_a_prompt_is_one_user_message_and_sixteen_tokens_are_the_default() -> None:
    chat = chat_request({"prompt": ["Hello"], "temperature": 0.5, "model": "m", "user": "u"})
    assert chat == {
        "model": "m",
        "temperature": 0.5,
        "user": "u",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 16,
        "asked": {"echo": False, "n": 1},
    }
    assert MAX_TOKENS == 16
    assert chat_request({"prompt": ["Hello"], "max_tokens": 3})["max_tokens"] == 3


@pytest.mark.parametrize(
    ("asked", "chat"),
    [
        (0, {"logprobs": True}),
        (3, {"logprobs": True, "top_logprobs": 3}),
        (None, {}),
    ],
)
def test_the_number_of_log_probabilities_is_chats_two_fields(
    asked: int | None, chat: dict[str, Any]
) -> None:
    made = chat_request({"prompt": ["Hello"], "logprobs": asked})
    assert {name: made[name] for name in made if "logprobs" in name} == chat


def test_several_prompts_are_kept_for_the_worker() -> None:
    chat = chat_request({"prompt": ["a", "b"], "n": 2})
    assert prompts_of(chat) == ["a", "b"]
    assert prompts_of(chat_request({"prompt": ["a"]})) == ["a"]


def test_a_whole_answer_has_texts_for_messages() -> None:
    told = text_completion(
        completion(chat_choice(0, "Hi"), chat_choice(1, None, finish_reason="tool_calls")),
        chat_request({"prompt": ["Hello"], "n": 2}),
    )
    assert told == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [
            {"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop"},
            {"text": "", "index": 1, "logprobs": None, "finish_reason": "stop"},
        ],
        "usage": {"total_tokens": 3},
    }


def test_each_choice_echoes_its_own_prompt() -> None:
    request = chat_request({"prompt": ["a: ", "b: "], "n": 2, "echo": True})
    told = text_completion(completion(*(chat_choice(at, str(at)) for at in range(4))), request)
    assert [choice["text"] for choice in told["choices"]] == ["a: 0", "a: 1", "b: 2", "b: 3"]


def test_an_unfinished_answer_keeps_the_choice_that_said_nothing() -> None:
    said_nothing = chat_choice(0, None, finish_reason=None)
    told = text_completion(completion(said_nothing), chat_request({"prompt": ["a"]}))
    assert told["choices"] == [{"text": "", "index": 0, "logprobs": None, "finish_reason": None}]


@given(prompt=st.text(max_size=5), pieces=PIECES, echo=st.booleans())
def test_a_stream_says_what_the_whole_says_however_it_is_cut(
    prompt: str, pieces: list[str], echo: bool
) -> None:
    request = chat_request({"prompt": [prompt], "echo": echo})
    text = texts_of(request, [0])[0]
    deltas: list[dict[str, Any]] = [{"index": 0, "delta": {"role": "assistant"}}]
    deltas += [{"index": 0, "delta": {"content": piece}} for piece in pieces]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [chunk for delta in deltas if (chunk := text.choice(delta)) is not None]
    whole = text_completion(completion(chat_choice(0, "".join(pieces))), request)["choices"][0]
    assert "".join(chunk["text"] for chunk in chunks) == whole["text"]
    assert chunks[-1]["finish_reason"] == whole["finish_reason"]


def test_log_probabilities_are_four_lists_with_the_places_of_the_tokens() -> None:
    told = {"content": [token("Hel", -0.5, Hel=-0.5, Good=-1.5), token("lo", -0.1)]}
    assert legacy_logprobs(told, 4) == {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.5, -0.1],
        "top_logprobs": [{"Hel": -0.5, "Good": -1.5}, {}],
        "text_offset": [4, 7],
    }
    assert legacy_logprobs({"content": [token("a", -1)]}, 0)["top_logprobs"] is None  # type: ignore[index]
    assert legacy_logprobs({"content": []}, 0) is None
    assert legacy_logprobs(None, 0) is None


@given(pieces=PIECES.filter(bool))
def test_places_go_on_from_chunk_to_chunk(pieces: list[str]) -> None:
    text = Text()
    offsets: list[int] = []
    for piece in pieces:
        logprobs = {"content": [token(piece, -1.0)]}
        chunk = text.choice({"index": 0, "delta": {"content": piece}, "logprobs": logprobs})
        if chunk is not None:
            offsets += chunk["logprobs"]["text_offset"]
    whole = "".join(pieces)
    said = [piece for piece in pieces if piece]
    assert [whole[at:].startswith(piece) for at, piece in zip(offsets, said, strict=True)] == [
        True
    ] * len(said)
