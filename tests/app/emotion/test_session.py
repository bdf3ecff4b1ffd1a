"""What events make of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.session import Session, after, entry_of, feeling, reset_at, state_object, told
from app.emotion.state import REST, Pad, faded, scaled, total
from tests.app.emotion.feelings import (
    HALF_LIFE,
    in_bounds,
    near,
    pads,
    ripple,
    session,
    turn,
)

BASELINE = Pad(0.3, 0.1, 0.0)
steps = st.lists(
    st.tuples(st.sampled_from(["turn", "ripple", "reset"]), st.floats(0, 900), pads), max_size=8
)


def lived(start: Session, steps: list[tuple[str, float, Pad]]) -> Session:
    """The session after steps, each so many seconds after the one before."""
    at = start.at
    for kind, wait, pad in steps:
        at += wait
        if kind == "reset":
            start = after(start, reset_at(start, at, HALF_LIFE), HALF_LIFE)
        else:
            event = turn(at, pad) if kind == "turn" else ripple(at, pad, 300.0)
            start = after(start, event, HALF_LIFE)
    return start


def test_a_turn_is_added_to_what_is_left() -> None:
    begun = session(BASELINE, Pad(0.4, 0, 0))
    moved = after(begun, turn(600.0, Pad(0.1, 0.1, 0)), HALF_LIFE)
    assert near(moved.deviation, Pad(0.3, 0.1, 0))
    assert (moved.at, moved.seq, moved.turns) == (600.0, 1, 1)
    assert near(feeling(moved, 600.0, HALF_LIFE), Pad(0.6, 0.2, 0))
    assert near(feeling(moved, 1200.0, HALF_LIFE), Pad(0.45, 0.15, 0))


def test_a_ripple_fades_in_its_own_time_beside_the_deviation() -> None:
    begun = after(session(BASELINE, Pad(0.4, 0, 0)), ripple(0.0, Pad(0, 0.5, 0), 300.0), HALF_LIFE)
    assert near(feeling(begun, 150.0, HALF_LIFE), Pad(0.3 + 0.4 * 2**-0.25, 0.35, 0))
    assert near(feeling(begun, 600.0, HALF_LIFE), Pad(0.5, 0.1, 0))
    assert (begun.seq, begun.turns) == (1, 0)


@given(pads, st.permutations([0, 1, 2]), st.lists(pads, min_size=3, max_size=3), st.floats(0, 400))
def test_ripples_of_one_moment_may_come_in_any_order(
    baseline: Pad, order: list[int], vectors: list[Pad], later: float
) -> None:
    events = [ripple(5.0, vector, 100.0 + place) for place, vector in enumerate(vectors)]
    one = other = session(baseline)
    for place in range(3):
        one = after(one, events[place], HALF_LIFE)
        other = after(other, events[order[place]], HALF_LIFE)
    at = 5.0 + later
    assert near(feeling(one, at, HALF_LIFE), feeling(other, at, HALF_LIFE))


def test_a_reset_ends_what_moved_the_session_and_keeps_its_baseline() -> None:
    begun = after(session(BASELINE, Pad(0.4, 0, 0)), ripple(0.0, Pad(0, 0.5, 0), 300.0), HALF_LIFE)
    event = reset_at(begun, 150.0, HALF_LIFE)
    assert near(event.impulse, Pad(-0.4 * 2**-0.25, -0.25, 0))
    again = after(begun, event, HALF_LIFE)
    assert (again.deviation, again.ripples) == (REST, ())
    assert feeling(again, 150.0, HALF_LIFE) == feeling(again, 1e6, HALF_LIFE) == BASELINE


@given(pads, steps, st.floats(0, 10_000))
def test_whatever_happens_the_feeling_is_in_bounds(
    baseline: Pad, steps: list[tuple[str, float, Pad]], later: float
) -> None:
    end = lived(session(baseline), steps)
    assert in_bounds(feeling(end, end.at + later, HALF_LIFE))
    assert end.seq == len(steps)


@given(pads, steps)
def test_left_alone_a_session_returns_to_its_baseline(
    baseline: Pad, steps: list[tuple[str, float, Pad]]
) -> None:
    end = lived(session(baseline), steps)
    assert near(feeling(end, end.at + 60 * HALF_LIFE, HALF_LIFE), baseline, 1e-6)


@given(pads, pads, st.floats(0, 5000), st.floats(0, 5000))
def test_looking_at_a_session_does_not_change_how_it_fades(
    deviation: Pad, impulse: Pad, first: float, second: float
) -> None:
    """An event that moves nothing, in between, leaves the same deviation."""
    begun = after(session(REST, deviation), turn(0.0, impulse), HALF_LIFE)
    touched = after(begun, turn(first, REST), HALF_LIFE)
    left = faded(touched.deviation, second, HALF_LIFE)
    assert near(left, faded(total((deviation, impulse)), first + second, HALF_LIFE))


def test_the_line_of_an_event_tells_the_state_after_it() -> None:
    event = turn(5.0, Pad(0.2, 0, 0))
    moved = after(session(BASELINE), event, HALF_LIFE)
    entry = entry_of(moved, event, HALF_LIFE)
    assert (entry.seq, entry.event, entry.deviation) == (1, event, moved.deviation)
    assert near(entry.state, Pad(0.5, 0.1, 0))


def test_a_state_is_told_with_four_decimals_and_in_words() -> None:
    state = told(session(Pad(0.123456, -0.2, 0.0), now=7.0, turns=2), HALF_LIFE)
    shown = state_object(state)
    assert (shown["valence"], shown["arousal"], shown["dominance"]) == (0.1235, -0.2, 0.0)
    assert shown["description"].startswith("I'm feeling ")
    assert state_object(state) == shown


@pytest.mark.parametrize("at", [3.0, 9.0])
def test_a_state_is_that_of_the_moment_it_was_read(at: float) -> None:
    state = told(session(REST, Pad(0.5, 0, 0), now=at), 3.0)
    assert near(state.pad, scaled(Pad(0.5, 0, 0), 2 ** (-at / 3.0)))
    assert (state.at, state.changed, state.created) == (at, 0.0, 0.0)
