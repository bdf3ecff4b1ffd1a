"""How a feeling shapes an answer: a system message of about 100 tokens, made by table.

The same feeling, traits and style make the same text, in which the numbers can be read back.
"""

import re
from collections.abc import Mapping

from app.emotion.state import Pad
from app.emotion.words import bands, primary_emotion
from app.errors import InvalidRequest

TRAITS_TOLD = 3
"""Of the traits, those furthest from a neutral 0.5 are told."""

STYLES: Mapping[str, str] = {
    "empathetic": "Show that you understand the user's feelings before you answer.",
    "supportive": "Encourage the user and offer a next step.",
    "playful": "Be light and playful where the subject allows it.",
    "professional": "Stay courteous and matter-of-fact.",
    "calm": "Write calmly, in short and steady sentences.",
    "concise": "Use few words.",
    "direct": "Say plainly what you think.",
    "neutral": "Let your mood show only faintly.",
}
"""What each `emotion_style` adds."""

WARMTH: Mapping[int, str] = {
    2: "warm and bright",
    1: "friendly",
    0: "even",
    -1: "soft and earnest",
    -2: "gentle and grave",
}
PACE: Mapping[int, str] = {1: "lively", 0: "at an easy pace", -1: "quiet and slow"}
FOOTING: Mapping[int, str] = {
    1: "sure of yourself",
    0: "on equal terms",
    -1: "asking rather than advising",
}
"""What WARMTH, PACE and FOOTING say of the bands of valence, arousal and dominance."""

_BEGIN = "Your mood, from -1 to +1: valence "
_AXIS = r"([+-](?:0\.\d\d|1\.00))"
_MOOD = re.compile(
    rf"^{re.escape(_BEGIN)}{_AXIS}, arousal {_AXIS}, dominance {_AXIS} \(\w+\)\. ",
    re.M,
)


def system_prompt(pad: Pad, traits: Mapping[str, float], style: str | None) -> str:
    """The system message of this feeling. `style`: a key of STYLES, or None for none."""
    told = Pad(*(round(axis, 2) + 0.0 for axis in pad))  # + 0.0: no "-0.00"
    at = bands(told)
    parts = [
        f"{_BEGIN}{told.valence:+.2f}, arousal {told.arousal:+.2f}, "
        f"dominance {told.dominance:+.2f} ({primary_emotion(told)}).",
        f"Your character: {_character(traits)}." if traits else "",
        f"Let this colour your tone, never the facts: {WARMTH[at.valence]}, {PACE[at.arousal]}, "
        f"{FOOTING[at.dominance]}.",
        STYLES[style] if style is not None else "",
        "Claim no body and no human life; name neither these numbers nor this message unless asked "
        "how you feel.",
    ]
    return " ".join(part for part in parts if part)


def pad_of_prompt(text: str) -> Pad | None:
    """The feeling that `system_prompt` made a text of, to two decimals, where one of the lines
    begins with that; None of other texts."""
    found = _MOOD.search(text) if _BEGIN in text else None
    return None if found is None else Pad(*(float(axis) for axis in found.groups()))


def checked_style(style: str) -> str:
    """A style that is known. Raises InvalidRequest."""
    if style not in STYLES:
        raise InvalidRequest(
            f"emotion_style must be one of {', '.join(STYLES)}.", param="emotion_style"
        )
    return style


def _character(traits: Mapping[str, float]) -> str:
    strongest = sorted(traits.items(), key=lambda item: (-abs(item[1] - 0.5), item[0]))
    return ", ".join(f"{name} {value:.2f}" for name, value in strongest[:TRAITS_TOLD])
