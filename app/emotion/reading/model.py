"""What is read in a text: the feeling's place in a space of three axes, and its names.

The axes are those of Mehrabian and Russell 1974, as EmoBank has them (Buechel and Hahn 2017,
https://aclanthology.org/E17-2092): valence, from bad to good; arousal, from calm to excited;
dominance, from controlled to in control. The names are the 28 labels of GoEmotions (Demszky et
al. 2020, https://aclanthology.org/2020.acl-main.372), and its grouping of them by Ekman's six.
"""

from dataclasses import dataclass

AXES = ("valence", "arousal", "dominance")
NEUTRAL = "neutral"

LABELS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion",
    "curiosity", "desire", "disappointment", "disapproval", "disgust", "embarrassment",
    "excitement", "fear", "gratitude", "grief", "joy", "love", "nervousness", "optimism",
    "pride", "realization", "relief", "remorse", "sadness", "surprise", NEUTRAL,
)  # fmt: skip
"""In the order of GoEmotions' `emotions.txt`, by whose numbers its files name them."""

EKMAN = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        "joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief",
        "pride", "admiration", "desire", "caring",
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    NEUTRAL: (NEUTRAL,),
}  # fmt: skip
"""The labels of each of Ekman's classes: GoEmotions' `ekman_mapping.json`, and neutral."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says of its writer's feeling.

    The three axes are from -1 to 1, where 0 is neither. `labels` and `ekman` are the calibrated
    probability of each of LABELS and of EKMAN's classes; a text may have several. `primary` is
    the likeliest of the labels that pass their threshold, or neutral if none does; `confidence`
    is its probability.
    """

    valence: float
    arousal: float
    dominance: float
    labels: dict[str, float]
    ekman: dict[str, float]
    primary: str
    confidence: float
