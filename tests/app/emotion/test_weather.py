"""The emotional weather: means, dominant emotions, wording and forecast."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.state import Pad
from app.emotion.weather import DARKEST, SKIES, WINDS, dominant, forecast, rise, weather
from app.emotion.words import primary_emotion
from tests.markdown import page, table

axis = st.floats(-1, 1, allow_nan=False)
pads = st.builds(Pad, axis, axis, axis)
points = st.tuples(st.integers(-1800, 0).map(float), axis)
GRID = [step / 20 for step in range(-20, 21)]


def test_no_session_is_calm() -> None:
    told = weather([])
    assert told.current_weather == "calm, no active sessions"
    assert (told.collective_valence, told.active_sessions, told.dominant_emotions) == (0.0, 0, ())
    assert told.forecast == "Calm: nothing to forecast"


def test_the_seeds_weather() -> None:
    told = weather([Pad(0.72, 0.1, 0.3)] * 142)
    assert told.current_weather == "partly sunny with gentle breezes"
    assert told.collective_valence == pytest.approx(0.72)
    assert told.active_sessions == 142
    assert told.forecast == "Stable positive conditions expected"


def test_the_collective_feeling_is_the_mean() -> None:
    told = weather([Pad(0.9, 0.8, 0), Pad(-0.5, 0.6, 0), Pad(-0.7, 1, 0)])
    assert told.collective_valence == pytest.approx(-0.1)
    assert told.current_weather == "light clouds with brisk winds"
    assert told.active_sessions == 3


def test_wording_never_contradicts_the_valence_or_the_arousal() -> None:
    skies = [DARKEST, *[sky for _, sky in reversed(SKIES)]]
    winds = [WINDS[-1], WINDS[0], WINDS[1]]
    seen = []
    for valence, arousal in product(GRID, repeat=2):
        sky, _, wind = weather([Pad(valence, arousal, 0)]).current_weather.partition(" with ")
        seen.append((valence, arousal, skies.index(sky), winds.index(wind)))
        assert ("sunny" in sky) == (valence >= 0.15)
        assert (sky in ("overcast", DARKEST)) == (valence < -0.15)
        assert (wind == "brisk winds") == (arousal >= 0.2)
        assert (wind == "still air") == (arousal < -0.2)
    by_valence = [sky for _, _, sky, _ in sorted(seen)]
    assert by_valence == sorted(by_valence)
    assert {sky for _, _, sky, _ in seen} == set(range(len(skies)))


def test_the_most_frequent_emotions_dominate_and_of_equals_the_stronger() -> None:
    curious, sad, friendly = Pad(0.4, 0.5, 0.0), Pad(-0.6, -0.3, -0.4), Pad(0.4, 0.1, 0.1)
    helpful, content = Pad(0.7, 0.2, 0.7), Pad(0.7, -0.2, 0.2)
    states = [friendly, content, curious, helpful, curious]
    assert dominant(states) == ("curious", "helpful", "content")
    assert dominant([sad]) == ("sad",)


@given(st.lists(pads, min_size=1, max_size=30), st.randoms())
def test_the_order_of_sessions_does_not_matter(states: list[Pad], random: object) -> None:
    shuffled = list(states)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = weather(states), weather(shuffled)
    assert one.dominant_emotions == other.dominant_emotions
    assert one.collective_valence == pytest.approx(other.collective_valence)
    assert set(one.dominant_emotions) <= {primary_emotion(pad) for pad in states}


@given(st.lists(points, min_size=2, max_size=20, unique_by=lambda point: point[0]))
def test_the_rise_is_that_of_the_line_of_least_squares(trend: list[tuple[float, float]]) -> None:
    times = [at for at, _ in trend]
    middle = sum(times) / len(times)
    mean = sum(value for _, value in trend) / len(trend)
    slope = rise([trend]) / (max(times) - min(times))

    def squares(tilt: float) -> float:
        return sum((value - mean - tilt * (at - middle)) ** 2 for at, value in trend)

    assert squares(slope) <= squares(slope + 1e-5) + 1e-12
    assert squares(slope) <= squares(slope - 1e-5) + 1e-12


def test_a_trend_is_told_for_as_long_as_it_has_been_seen() -> None:
    assert rise([[(1e9, 0.50), (1e9 + 2, 0.55)]]) == pytest.approx(0.05)
    assert rise([[(0, 0.2), (900, 0.3), (1800, 0.4)], [(1700, 0.9)]]) == pytest.approx(0.2)
    assert rise([[(5, 0.3)]]) == rise([[(5, 0.3), (5, 0.9)]]) == rise([[]]) == rise([]) == 0.0


def test_the_trend_is_what_sessions_do_and_not_who_was_there_when() -> None:
    happy_first = [(0.0, 0.9), (100.0, 0.8)]
    sad_later = [(1000.0, -0.8), (1100.0, -0.7)]
    assert rise([happy_first, sad_later]) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("valence", "coming", "words"),
    [
        (0.7, 0.0, "Stable positive"),
        (0.7, 0.099, "Stable positive"),
        (0.0, -0.099, "Stable mixed"),
        (-0.7, 0.0, "Stable gloomy"),
        (0.0, 0.3, "Brightening: positive"),
        (-0.4, 0.3, "Clearing up: mixed"),
        (-0.9, 0.3, "Slowly clearing: still gloomy"),
        (0.7, -0.3, "Clouding over: still positive"),
        (0.3, -0.3, "Clouding over: mixed"),
        (0.0, -0.3, "Darkening: gloomy"),
        (0.9, 50.0, "Brightening: positive"),
    ],
)
def test_the_forecast_goes_on_with_the_trend(valence: float, coming: float, words: str) -> None:
    assert forecast(valence, coming).startswith(words)


def test_the_trend_reaches_the_forecast() -> None:
    rising = [(-1800.0, -0.3), (-900.0, 0.0), (0.0, 0.3)]
    assert weather([Pad(0.3, 0, 0)], [rising]).forecast.startswith("Brightening")
    assert weather([Pad(0.3, 0, 0)], [rising[::-1]]).forecast.startswith("Brightening")
    assert weather([Pad(0.3, 0, 0)]).forecast.startswith("Stable")


def test_the_page_has_the_skies() -> None:
    rows = table(page("docs/emotions.md"), "collective valence")
    told = [(edge.removeprefix("from "), sky) for edge, sky in rows]
    assert told == [*((f"{edge:g}", sky) for edge, sky in SKIES), ("below", DARKEST)]
