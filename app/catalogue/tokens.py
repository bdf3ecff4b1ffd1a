"""A count of tokens where a provider tells none."""

import orjson

from app.catalogue.abilities import TEXT

BYTES_PER_TOKEN = 4
"""English text in OpenAI's vocabularies has about four bytes a token
(https://platform.openai.com/tokenizer)."""

MEDIA_TOKENS = 1_600
"""What an image may count at most with Anthropic: its width times its height in pixels by 750,
where larger ones are made smaller (https://docs.anthropic.com/en/docs/build-with-claude/vision)."""


def estimate_tokens(text: str | bytes) -> int:
    """About how many tokens `text` has; usage made of it is marked `estimated`."""
    encoded = text.encode() if isinstance(text, str) else text
    return -(-len(encoded) // BYTES_PER_TOKEN)


def estimate_prompt(request: str) -> int:
    """About how many tokens a chat request has, which is JSON. Images, recordings and files within
    its messages are counted apiece: what they weigh in base64 says nothing of what a model reads of
    them."""
    media = 0
    try:
        told = orjson.loads(request)
        for message in told["messages"]:
            content = message.get("content")
            if type(content) is list:
                message["content"] = [one for one in content if one.get("type", "text") in TEXT]
                media += len(content) - len(message["content"])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return estimate_tokens(request)
    return estimate_tokens(orjson.dumps(told) if media else request) + MEDIA_TOKENS * media
