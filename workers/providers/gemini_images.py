"""Images by the Gemini API, which draws them as parts of an answer:
https://ai.google.dev/gemini-api/docs/image-generation."""

import time
from typing import Any

import orjson

from workers.providers.base import Answer, Call, ProviderError
from workers.providers.conversation import refused

SOLE: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "size": ("auto", "1024x1024"),
    "quality": ("auto", "standard"),
    "background": ("auto", "opaque"),
    "moderation": ("auto",),
    "response_format": ("b64_json",),
    "style": (),
    "output_format": (),
    "output_compression": (),
}
"""All that fields of a request can be: the API draws one image, chooses its file type itself, and
takes a shape where OpenAI takes a size; its usual square is 1024 pixels a side."""


def drawing(call: Call) -> dict[str, Any]:
    """The body for one image. Raises ProviderError for what the API cannot do."""
    request = call.request
    for name, values in SOLE.items():
        if request.get(name) not in (None, *values):
            told = " or ".join(map(str, values)) or "left out"
            raise refused(f"for this provider {name} must be {told}", name)
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if request.get("size") == "1024x1024":
        config["imageConfig"] = {"aspectRatio": "1:1"}
    if request.get("seed") is not None:
        config["seed"] = request["seed"]
    contents = [{"role": "user", "parts": [{"text": request["prompt"]}]}]
    return {"contents": contents, "generationConfig": config}


def drawn(raw: bytes) -> Answer:
    """The image of an answer. Its usage has the prompt's tokens; the image is paid as one. Raises
    ProviderError, `invalid` where the API would not draw this."""
    try:
        told = orjson.loads(raw)
        candidates = told.get("candidates") or [{}]
        parts = (candidates[0].get("content") or {}).get("parts") or ()
        # Drafts that the model drew while it thought are parts too.
        images = [
            part["inlineData"] for part in parts if "inlineData" in part and not part.get("thought")
        ]
        data = [{"b64_json": image["data"]} for image in images[:1]]
        kinds = [str(image.get("mimeType", "image/png")) for image in images]
        why = (told.get("promptFeedback") or {}).get("blockReason")
        why = why or candidates[0].get("finishReason")
        usage = told.get("usageMetadata") or {}
        prompt = usage.get("promptTokenCount") or 0
    except (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise ProviderError("protocol", "the answer is not of Gemini's form") from error
    if not data and why not in (None, "STOP", "MAX_TOKENS", "NO_IMAGE", "OTHER", "IMAGE_OTHER"):
        raise refused(f"the provider does not draw this: {why}", "prompt")
    if not data:
        raise ProviderError("protocol", "the answer holds no image")
    body = {
        "created": int(time.time()),
        "output_format": kinds[0].removeprefix("image/"),
        "data": data,
    }
    tokens = {"prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt}
    return Answer(body, {**tokens, "images": 1})
