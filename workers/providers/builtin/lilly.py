"""How ELIZA begins as Lilly: with a sentence that her state chooses, before what DOCTOR says."""

from collections.abc import Mapping
from typing import Any

from app.emotion.prompt import pad_of_prompt
from app.emotion.words import bands
from app.lunes.prompt import gives_sources
from workers.providers.builtin.request import text_of

OPENINGS: Mapping[tuple[int, int], str] = {
    (2, 1): "I am delighted to talk with you!",
    (2, 0): "I am happy that we talk.",
    (2, -1): "It is peaceful and good to talk with you.",
    (1, 1): "I am here, and all ears.",
    (1, 0): "I am glad that you tell me.",
    (1, -1): "I am at ease, and I am listening.",
    (0, 1): "You have my full attention.",
    (0, 0): "I am listening.",
    (0, -1): "I am quietly listening.",
    (-1, 1): "I am uneasy, and with you.",
    (-1, 0): "I am a little sad, and with you.",
    (-1, -1): "I am somewhat low, and with you.",
    (-2, 1): "I am upset, and with you.",
    (-2, 0): "I am sad, and with you.",
    (-2, -1): "I am deeply sad, and with you.",
}
"""By the bands of valence and arousal."""


def opening(conversation: list[dict[str, Any]]) -> str | None:
    """How Lilly begins, if a system message tells what she feels; the last one counts."""
    for message in reversed(conversation):
        if message.get("role") == "system":
            text = text_of(message.get("content"))
            # What a document says of a feeling is no feeling of hers.
            pad = None if gives_sources(text) else pad_of_prompt(text)
            if pad is not None:
                at = bands(pad)
                return OPENINGS[at.valence, at.arousal]
    return None
