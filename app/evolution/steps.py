"""What feedback wishes of which trait. The bounds of `drift` are kept elsewhere: these are wishes.

In this order, the first that says something of a trait decides on it:

1. A trait that the feedback names moves by `NAMED_STEP`, up for "more" and down for "less".
2. A word of the reason that stands for a trait (`WORDS`). "More", "not" or a word like it within
   the two words before ask for more of it, "too" or "less" for less, by `NAMED_STEP`; two such
   words that disagree say nothing. Without one, praise for "curious" asks for more of it and blame
   for less, by `NAMED_STEP` times the rating. A word for a trait's lack ("cold") counts the other
   way round.
3. Only if neither said anything of any trait: the rating alone, by `PLAIN_STEP` times the rating.
   It speaks of the traits in which the answer was unlike the baseline: of one that its request
   asked for by that value, else by its drift. Praise moves a trait on in that direction, at most to
   what was asked for; blame moves its drift back, at most to the baseline.
"""

import re
from collections.abc import Mapping

from app.evolution.model import NewFeedback, TraitState

NAMED_STEP = 10_000
PLAIN_STEP = 2_500

REASON_WINDOW = 2
"""How many words before a trait's word may turn it."""

WORDS: Mapping[str, Mapping[str, int]] = {
    "protective": {"protective": 1, "careful": 1, "cautious": 1, "careless": -1, "reckless": -1},
    "curious": {"curious": 1, "inquisitive": 1, "interested": 1, "uninterested": -1},
    "empathetic": {
        "empathetic": 1, "empathic": 1, "caring": 1, "compassionate": 1, "understanding": 1,
        "cold": -1, "harsh": -1, "heartless": -1, "unkind": -1, "unfeeling": -1,
    },
    "supportive": {"supportive": 1, "encouraging": 1, "discouraging": -1},
    "playful": {"playful": 1, "funny": 1, "humorous": 1, "dull": -1},
    "patient": {"patient": 1, "impatient": -1},
    "calm": {"calm": 1, "agitated": -1, "hectic": -1},
}  # fmt: skip
"""Words for a trait (1) and for its lack (-1). Every trait also has its own name."""

MORE = frozenset({"more", "not", "never", "hardly", "lacks", "lacking"})
LESS = frozenset({"less", "too", "overly"})
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def steps(
    new: NewFeedback, traits: Mapping[str, TraitState], asked: Mapping[str, int]
) -> dict[str, int]:
    """How far each trait is to move, in millionths, those that are not to left out. `traits`: those
    that may move, as they are; `asked`: the values that the answer's request asked for."""
    said = {name: step for name, step in _said(new, traits).items() if step}
    if said or new.traits:
        return said
    wished = {name: _plain(new.rating, trait, asked.get(name)) for name, trait in traits.items()}
    return {name: step for name, step in wished.items() if step}


def _said(new: NewFeedback, traits: Mapping[str, TraitState]) -> dict[str, int]:
    spoken = _words(new.reason or "", new.rating, traits)
    named = {name: NAMED_STEP if way == "more" else -NAMED_STEP for name, way in new.traits.items()}
    return {**spoken, **named}


def _words(reason: str, rating: float, traits: Mapping[str, TraitState]) -> dict[str, int]:
    """Steps of the traits for which the reason has words; of one with several, their sum within a
    step."""
    known = {
        word: (name, sign)
        for name in traits
        for word, sign in {name.replace("_", " "): 1, **WORDS.get(name, {})}.items()
    }
    words = [found.casefold().replace("’", "'") for found in _WORD.findall(reason)]
    total: dict[str, int] = {}
    for index, word in enumerate(words):
        if word in known:
            name, sign = known[word]
            turned = _turned(words[max(0, index - REASON_WINDOW) : index])
            step = round(NAMED_STEP * rating) if turned is None else NAMED_STEP * turned
            total[name] = total.get(name, 0) + sign * step
    return {name: max(-NAMED_STEP, min(step, NAMED_STEP)) for name, step in total.items()}


def _turned(before: list[str]) -> int | None:
    """What the words before a trait's word ask for: more of it (1), less (-1), or nothing (0);
    None if none of them turns it."""
    ways = {1 for word in before if word in MORE or word.endswith("n't")}
    ways |= {-1 for word in before if word in LESS}
    if not ways:
        return None
    return ways.pop() if len(ways) == 1 else 0


def _plain(rating: float, trait: TraitState, asked: int | None) -> int:
    """The step of a trait that a rating alone is of."""
    size = round(PLAIN_STEP * abs(rating))
    wish = trait.drift.now if asked is None else asked - trait.baseline
    way = (wish > 0) - (wish < 0)
    if rating < 0:
        return -way * min(size, max(0, way * trait.drift.now))
    if asked is None:
        return way * size
    return way * min(size, max(0, way * (wish - trait.drift.now)))
