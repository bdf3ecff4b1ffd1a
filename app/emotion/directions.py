"""Where emotions lie in the space of pleasure, arousal and dominance, by their names."""

from collections.abc import Mapping

from app.emotion.reading.model import NEUTRAL
from app.emotion.state import REST, Pad
from app.errors import InvalidRequest

OCC: Mapping[str, Pad] = {
    "admiration": Pad(0.5, 0.3, -0.2),
    "anger": Pad(-0.51, 0.59, 0.25),
    "disappointment": Pad(-0.3, 0.1, -0.4),
    "disliking": Pad(-0.4, 0.2, 0.1),
    "distress": Pad(-0.4, -0.2, -0.5),
    "fear": Pad(-0.64, 0.60, -0.43),
    "fears_confirmed": Pad(-0.5, -0.3, -0.7),
    "gloating": Pad(0.3, -0.3, -0.1),
    "gratification": Pad(0.6, 0.5, 0.4),
    "gratitude": Pad(0.4, 0.2, -0.3),
    "happy_for": Pad(0.4, 0.2, 0.2),
    "hate": Pad(-0.6, 0.6, 0.3),
    "hope": Pad(0.2, 0.2, -0.1),
    "joy": Pad(0.4, 0.2, 0.1),
    "liking": Pad(0.40, 0.16, -0.24),
    "love": Pad(0.3, 0.1, 0.2),
    "pity": Pad(-0.4, -0.2, -0.5),
    "pride": Pad(0.4, 0.3, 0.3),
    "relief": Pad(0.2, -0.3, 0.4),
    "remorse": Pad(-0.3, 0.1, -0.6),
    "reproach": Pad(-0.3, -0.1, 0.4),
    "resentment": Pad(-0.2, -0.3, -0.2),
    "satisfaction": Pad(0.3, -0.2, 0.4),
    "shame": Pad(-0.3, 0.1, -0.6),
}
"""The 24 emotions of Ortony, Clore and Collins (1988): Gebhard 2005, ALMA, AAMAS 2005, table 2."""

TERMS: Mapping[str, Pad] = {
    "angry": Pad(-0.51, 0.59, 0.25),
    "anxious": Pad(0.01, 0.59, -0.15),
    "astonished": Pad(0.16, 0.88, -0.15),
    "bored": Pad(-0.65, -0.62, -0.33),
    "confused": Pad(-0.53, 0.27, -0.32),
    "curious": Pad(0.22, 0.62, -0.01),
    "depressed": Pad(-0.72, -0.29, -0.41),
    "disgusted": Pad(-0.60, 0.35, 0.11),
    "distressed": Pad(-0.61, 0.28, -0.36),
    "embarrassed": Pad(-0.46, 0.54, -0.24),
    "excited": Pad(0.62, 0.75, 0.38),
    "fascinated": Pad(0.55, 0.51, -0.07),
    "fatigued": Pad(-0.18, -0.57, -0.29),
    "fearful": Pad(-0.64, 0.60, -0.43),
    "friendly": Pad(0.69, 0.35, 0.30),
    "frustrated": Pad(-0.64, 0.52, -0.35),
    "grateful": Pad(0.64, 0.16, -0.18),
    "guilty": Pad(-0.57, 0.28, -0.34),
    "happy": Pad(0.81, 0.51, 0.46),
    "hopeful": Pad(0.51, 0.23, 0.14),
    "inspired": Pad(0.71, 0.63, 0.34),
    "interested": Pad(0.64, 0.51, 0.17),
    "joyful": Pad(0.76, 0.48, 0.35),
    "lonely": Pad(-0.66, -0.43, -0.32),
    "loved": Pad(0.87, 0.54, -0.18),
    "mildly_annoyed": Pad(-0.28, 0.17, 0.04),
    "overwhelmed": Pad(0.14, 0.45, -0.24),
    "proud": Pad(0.77, 0.38, 0.65),
    "relaxed": Pad(0.68, -0.46, 0.06),
    "sad": Pad(-0.63, -0.27, -0.33),
    "surprised": Pad(0.40, 0.67, -0.13),
    "tense": Pad(-0.33, 0.58, -0.11),
    "upset": Pad(-0.63, 0.30, -0.24),
    "wonder": Pad(0.27, 0.24, -0.17),
}
"""Some of the 151 terms of Russell and Mehrabian 1977, Evidence for a Three-Factor Theory of
Emotions, Journal of Research in Personality 11, 273-294, whose values for anger and fear ALMA has
taken over."""

LABEL_DIRECTIONS: Mapping[str, Pad] = {
    "admiration": OCC["admiration"],
    "amusement": OCC["joy"],
    "anger": OCC["anger"],
    "annoyance": TERMS["mildly_annoyed"],
    "approval": OCC["liking"],
    "caring": OCC["love"],
    "confusion": TERMS["confused"],
    "curiosity": TERMS["curious"],
    "desire": OCC["hope"],
    "disappointment": OCC["disappointment"],
    "disapproval": OCC["reproach"],
    "disgust": TERMS["disgusted"],
    "embarrassment": OCC["shame"],
    "excitement": TERMS["excited"],
    "fear": OCC["fear"],
    "gratitude": OCC["gratitude"],
    "grief": OCC["distress"],
    "joy": OCC["joy"],
    "love": OCC["love"],
    "nervousness": TERMS["tense"],
    "optimism": OCC["hope"],
    "pride": OCC["pride"],
    "realization": TERMS["wonder"],
    "relief": OCC["relief"],
    "remorse": OCC["remorse"],
    "sadness": TERMS["sad"],
    "surprise": TERMS["surprised"],
    NEUTRAL: REST,
}
"""Where each label of GoEmotions lies: as the emotion of Ortony, Clore and Collins among whose
tokens it is, as the nearest term of Russell and Mehrabian where they have none."""

PLAIN: Mapping[str, Pad] = {
    "anxiety": TERMS["anxious"],
    "boredom": TERMS["bored"],
    "calm": TERMS["relaxed"],
    "enthusiasm": TERMS["excited"],
    "frustration": TERMS["frustrated"],
    "happiness": TERMS["happy"],
    "loneliness": TERMS["lonely"],
    "stress": TERMS["tense"],
}

DIRECTIONS: Mapping[str, Pad] = {
    **TERMS, **PLAIN, **OCC,
    **{label: at for label, at in LABEL_DIRECTIONS.items() if label != NEUTRAL},
}  # fmt: skip
"""Every name that may be rippled; where two sources have one, GoEmotions' label stands."""


def emotion_named(name: str) -> str:
    """The name as DIRECTIONS has it, whatever its case, spaces and hyphens. Raises InvalidRequest
    for a name that is no emotion."""
    known = name.strip().lower().replace(" ", "_").replace("-", "_")
    if known not in DIRECTIONS:
        names = ", ".join(sorted(DIRECTIONS))
        raise InvalidRequest(
            f"There is no emotion {name[:40]!r}. The known ones are {names}.", param="emotion"
        )
    return known
