"""Images by Gemini: what it is asked, and what its answers are."""

from typing import Any

import orjson
import pytest

from workers.providers.base import Call, ProviderError
from workers.providers.gemini_images import drawing, drawn


def asked(**fields: Any) -> dict[str, Any]:
    return drawing(Call({"prompt": "a moon", **fields}, "painter"))


def image(data: str = "AA==", **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/jpeg", "data": data}, **more}


def answer(*parts: dict[str, Any], stop: str = "STOP", **more: Any) -> bytes:
    return orjson.dumps(
        {"candidates": [{"content": {"parts": list(parts)}, "finishReason": stop}], **more}
    )


def failed(raw: bytes) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        drawn(raw)
    return raised.value


def test_a_prompt_is_asked_for_an_image() -> None:
    assert asked(n=1, size="auto", quality="standard", response_format="b64_json") == {
        "contents": [{"role": "user", "parts": [{"text": "a moon"}]}],
        "generationConfig": {"responseModalities": ["IMAGE"]},
    }
    config = asked(size="1024x1024", seed=7)["generationConfig"]
    assert (config["imageConfig"], config["seed"]) == ({"aspectRatio": "1:1"}, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 2), ("size", "1536x1024"), ("quality", "high"), ("style", "vivid"),
     ("background", "transparent"), ("output_format", "png"), ("output_compression", 0),
     ("moderation", "low"), ("response_format", "url")],
)  # fmt: skip
def test_what_it_cannot_draw_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ProviderError) as raised:
        asked(**{name: value})
    assert (raised.value.kind, raised.value.param) == ("invalid", name)


def test_the_image_is_the_one_that_is_no_draft_and_is_paid_as_one() -> None:
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 1120, "thoughtsTokenCount": 200}
    parts = [image("AQ==", thought=True), {"text": "Here it is:"}, image("Ag=="), image("Aw==")]
    told = drawn(answer(*parts, usageMetadata=usage))
    assert told.body["data"] == [{"b64_json": "Ag=="}]
    assert told.body["output_format"] == "jpeg"
    assert told.usage == {
        "prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4, "images": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [answer(stop="IMAGE_SAFETY"), answer({"text": "No."}, stop="PROHIBITED_CONTENT"),
     b'{"promptFeedback":{"blockReason":"SAFETY"}}'],
)  # fmt: skip
def test_what_it_will_not_draw_is_refused_by_the_prompt(raw: bytes) -> None:
    error = failed(raw)
    assert (error.kind, error.param, error.retryable) == ("invalid", "prompt", False)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", answer(), answer({"text": "Sure!"}), answer(stop="NO_IMAGE"),
     b'{"candidates":{}}', b'{"candidates":[1]}', answer({"inlineData": {}})],
)  # fmt: skip
def test_an_answer_without_an_image_may_be_asked_for_again(raw: bytes) -> None:
    error = failed(raw)
    assert (error.kind, error.retryable) == ("protocol", True)
