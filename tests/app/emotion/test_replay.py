"""A history folded again comes to what is stored, or says that it does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.replay import divergence, replayed
from app.emotion.session import Entry, Event, Session, after, entry_of, reset_at
from app.emotion.state import Pad
from tests.app.emotion.feelings import HALF_LIFE, near, pads, ripple, session, turn


def told(start: Session, events: list[Event]) -> tuple[Session, list[Entry]]:
    """The session after events, and the lines that they wrote."""
    entries = []
    for event in events:
        start = after(start, event, HALF_LIFE)
        entries.append(entry_of(start, event, HALF_LIFE))
    return start, entries


@given(st.lists(st.tuples(st.floats(0, 900), pads, st.booleans()), max_size=8), st.integers(0, 7))
def test_a_history_comes_to_the_session_from_its_first_line_or_any_later(
    steps: list[tuple[float, Pad, bool]], dropped: int
) -> None:
    at, events = 0.0, []
    for wait, pad, turns in steps:
        at += wait
        events.append(turn(at, pad) if turns else ripple(at, pad, 60.0))
    end, entries = told(session(), events)
    assert near(replayed(session(), events, HALF_LIFE).deviation, end.deviation)
    assert divergence(end, entries, HALF_LIFE) < 1e-9
    assert divergence(end, entries[min(dropped, max(0, len(entries) - 1)) :], HALF_LIFE) < 1e-9


def test_a_lost_impulse_shows() -> None:
    end, entries = told(session(), [turn(1.0, Pad(0.2, 0, 0)), turn(2.0, Pad(0, 0.1, 0))])
    lost = replace(end, deviation=Pad(0.2, 0, 0))
    assert divergence(lost, entries, HALF_LIFE) == pytest.approx(0.1, abs=1e-3)


def test_a_reset_is_folded_too() -> None:
    begun, entries = told(session(), [turn(1.0, Pad(0.5, 0.5, 0))])
    event = reset_at(begun, 3.0, HALF_LIFE)
    end = after(begun, event, HALF_LIFE)
    assert divergence(end, [*entries, entry_of(end, event, HALF_LIFE)], HALF_LIFE) == 0


@pytest.mark.parametrize("missing", [1, 2])
def test_a_hole_in_a_history_is_told(missing: int) -> None:
    events = [turn(float(at), Pad(0.1, 0, 0)) for at in range(3)]
    end, entries = told(session(), events)
    with pytest.raises(ValueError, match="has had 3 events"):
        divergence(end, [entry for entry in entries if entry.seq != missing + 1], HALF_LIFE)
