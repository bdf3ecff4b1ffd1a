"""A count of tokens where a provider tells none."""

BYTES_PER_TOKEN = 4
"""English text in OpenAI's vocabularies has about four bytes a token
(https://platform.openai.com/tokenizer)."""


def estimate_tokens(text: str | bytes) -> int:
    """About how many tokens `text` has; usage made of it is marked `estimated`."""
    encoded = text.encode() if isinstance(text, str) else text
    return -(-len(encoded) // BYTES_PER_TOKEN)
