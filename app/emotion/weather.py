"""The emotional weather: the feeling of many sessions together, told as weather is."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from app.emotion.state import Pad
from app.emotion.words import bands, primary_emotion, sign

TREND_S = 1800.0
"""The trend is read from so many seconds; it is told for as long as it has been seen."""

STABLE = 0.1
"""A valence that changes by less than this is stable."""

DOMINANT = 3

Series = Sequence[tuple[float, float]]
"""Of one session: when something happened, in seconds, and the valence after it."""

SKIES: Sequence[tuple[float, str]] = (
    (0.75, "clear and sunny"),
    (0.15, "partly sunny"),
    (-0.15, "light clouds"),
    (-0.5, "overcast"),
)
"""Skies from a collective valence on, and below all of them DARKEST."""

DARKEST = "dark clouds"
WINDS: Mapping[int, str] = {1: "brisk winds", 0: "gentle breezes", -1: "still air"}
"""Winds by the band of collective arousal."""

FORECASTS: Mapping[tuple[int, int], str] = {
    (1, 1): "Brightening: positive conditions expected",
    (1, 0): "Clearing up: mixed conditions expected",
    (1, -1): "Slowly clearing: still gloomy conditions expected",
    (0, 1): "Stable positive conditions expected",
    (0, 0): "Stable mixed conditions expected",
    (0, -1): "Stable gloomy conditions expected",
    (-1, 1): "Clouding over: still positive conditions expected",
    (-1, 0): "Clouding over: mixed conditions expected",
    (-1, -1): "Darkening: gloomy conditions expected",
}
"""Forecasts by where the valence goes, and by the sign of what it comes to."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What is told of the sessions together. `dominant_emotions`: the most frequent first."""

    current_weather: str
    collective_valence: float
    active_sessions: int
    dominant_emotions: tuple[str, ...]
    forecast: str


def weather(states: Sequence[Pad], trend: Sequence[Series] = ()) -> Weather:
    """The weather of sessions that feel so, and had the events of `trend` in the last TREND_S."""
    if not states:
        return Weather("calm, no active sessions", 0.0, 0, (), "Calm: nothing to forecast")
    together = Pad(*(fmean(axis) for axis in zip(*states, strict=True)))
    return Weather(
        f"{_sky(together.valence)} with {WINDS[bands(together).arousal]}",
        together.valence,
        len(states),
        dominant(states),
        forecast(together.valence, rise(trend)),
    )


def dominant(states: Sequence[Pad]) -> tuple[str, ...]:
    """The words that are true of most sessions, at most DOMINANT of them; of words that are true of
    equally many, those of the stronger feelings first."""
    counts: Counter[str] = Counter()
    strength: defaultdict[str, float] = defaultdict(float)
    for pad in states:
        word = primary_emotion(pad)
        counts[word] += 1
        strength[word] += sum(axis * axis for axis in pad)
    order = sorted(counts, key=lambda word: (-counts[word], -strength[word], word))
    return tuple(order[:DOMINANT])


def rise(trend: Sequence[Series]) -> float:
    """How much the valence rises over the time that the trend covers.

    Along the line of least squares through all points, each taken from the mean of its own session,
    so that who was there when does not count (the within estimator of panel data: Wooldridge 2010,
    Econometric Analysis of Cross Section and Panel Data, 10.5). The time is that between the first
    and the last point of the session that has been followed longest. 0 without two moments of one.
    """
    moved = spread = longest = 0.0
    for series in filter(None, trend):
        middle, mean = (fmean(axis) for axis in zip(*series, strict=True))
        moved += sum((at - middle) * (valence - mean) for at, valence in series)
        spread += sum((at - middle) ** 2 for at, _ in series)
        longest = max(longest, max(at for at, _ in series) - min(at for at, _ in series))
    return moved / spread * longest if spread > 0 else 0.0


def forecast(valence: float, coming: float) -> str:
    """What to expect where the collective valence goes on to rise by `coming`."""
    then = min(max(valence + coming, -1.0), 1.0)
    direction = 0 if abs(coming) < STABLE else math.copysign(1, coming)
    return FORECASTS[int(direction), sign(bands(Pad(then, 0.0, 0.0)).valence)]


def _sky(valence: float) -> str:
    return next((sky for edge, sky in SKIES if valence >= edge), DARKEST)
