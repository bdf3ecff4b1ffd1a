"""Feelings for tests: readings that nobody had to read, and ways to make them with hypothesis."""

from typing import Any

from hypothesis import strategies as st

from app.emotion.reading.model import EKMAN, LABELS, NEUTRAL, Reading
from app.emotion.ripples import Ripple
from app.emotion.session import Event, Session
from app.emotion.state import REST, Pad, clamped
from app.ids import new_id

HALF_LIFE = 600.0
SHIPPED = {"protective": 0.85, "curious": 0.92, "empathetic": 0.88}

axes = st.floats(-1, 1)
pads = st.builds(Pad, axes, axes, axes)
seconds = st.floats(0, 100_000)
half_lives = st.floats(1, 100_000)


def reading(label: str = NEUTRAL, p: float = 0.9, pad: Pad = REST, **others: float) -> Reading:
    """A reading with this label, so likely, and no other but `others`."""
    labels = dict.fromkeys(LABELS, 0.0) | {label: p} | others
    return Reading(*pad, labels, dict.fromkeys(EKMAN, 0.0), label, p)


def session(baseline: Pad = REST, deviation: Pad = REST, **given: Any) -> Session:
    """A session that nothing has happened to: of the time 0, if not said otherwise."""
    known: dict[str, Any] = {
        "asked": {}, "traits": {}, "at": 0.0, "seq": 0, "turns": 0, "created": 0.0, "now": 0.0,
    }  # fmt: skip
    return Session("ten_x", "s", baseline=baseline, deviation=deviation, **(known | given))


def turn(at: float, impulse: Pad, job_id: str | None = None) -> Event:
    """A turn that moves a session so."""
    return Event("turn", at, "joy", "user_statement", 0.5, impulse, None, job_id)


def ripple(at: float, vector: Pad, duration: float) -> Event:
    """A ripple that begins so."""
    return Event("ripple", at, "joy", "ripple", 0.5, vector, duration, new_id("job"))


def near(one: Pad, other: Pad, within: float = 1e-9) -> bool:
    """Whether two feelings are the same but for rounding."""
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def in_bounds(pad: Pad) -> bool:
    """Whether a feeling is one that may be shown."""
    return pad == clamped(pad)


ripples = st.builds(Ripple, pads, seconds, st.floats(0.001, 86_400))
