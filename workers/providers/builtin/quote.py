"""Answering without a model: the sentence of the given sources that shares most with a question."""

import re
from typing import Any

from app.lunes.prompt import sources_of_prompt
from workers.providers.builtin.request import text_of

SENTENCE_MAX = 400
"""Characters of what is quoted."""

_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w{4,}")
_STEM = 6
"""So many letters of a word count, which joins most of its forms."""


def sources_given(conversation: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """The numbers and texts of the sources that the system messages give."""
    return [
        source
        for message in conversation
        if message.get("role") == "system"
        for source in sources_of_prompt(text_of(message.get("content")))
    ]


def quotation(conversation: list[dict[str, Any]]) -> str | None:
    """The sentence that has most of the words of the user's last message, with its source's number;
    of several that of the source told first. None without sources, or where none has a word."""
    sources = sources_given(conversation)
    if not sources:
        return None
    said = [text_of(m.get("content")) for m in conversation if m.get("role") == "user"]
    asked = _stems(said[-1] if said else "")
    best, most = None, 0
    for number, text in sources:
        for sentence in _END.split(text):
            shared = len(asked & _stems(sentence))
            if shared > most:
                best, most = f'My source says: "{_cut(sentence)}" [{number}]', shared
    return best


def _stems(text: str) -> set[str]:
    return {word.lower()[:_STEM] for word in _WORD.findall(text)}


def _cut(sentence: str) -> str:
    told = " ".join(sentence.split())
    return told if len(told) <= SENTENCE_MAX else f"{told[:SENTENCE_MAX]} …"
