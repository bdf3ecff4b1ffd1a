"""A session's record, what can happen to it, and the session that it is afterwards."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from app.emotion.ripples import Ripple, contribution
from app.emotion.state import REST, Pad, faded, shown, total
from app.emotion.words import description

Kind = Literal["turn", "ripple", "contagion", "reset"]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a session at a time (unix seconds).

    `impulse` is the change at that moment, of a reset what it took away; `duration`, of ripples and
    contagions, the seconds in which it fades. `trigger` says what caused it; `intensity` is 0 to 1.
    """

    kind: Kind
    at: float
    emotion: str
    trigger: str
    intensity: float
    impulse: Pad
    duration: float | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it stands in Postgres; times are unix seconds.

    `asked` are the traits that requests named for it, `traits` all that it has, from which
    `baseline` comes. `deviation` is of the time `at`. `seq` numbers its last event. `now` is when
    it was read, never before `at`.
    """

    tenant_id: str
    session_id: str
    asked: dict[str, float]
    traits: dict[str, float]
    baseline: Pad
    deviation: Pad
    at: float
    seq: int
    turns: int
    created: float
    now: float
    ripples: tuple[Ripple, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a session's history: an event, the deviation and the shown state after it."""

    seq: int
    event: Event
    deviation: Pad
    state: Pad


@dataclass(frozen=True, slots=True)
class SessionState:
    """How a session feels at the time `at`: `pad`, with what it comes from. `changed` is the time
    of its last event; all times are unix seconds."""

    tenant_id: str
    session_id: str
    pad: Pad
    baseline: Pad
    traits: dict[str, float]
    turns: int
    at: float
    changed: float
    created: float


def feeling(session: Session, at: float, half_life: float) -> Pad:
    """The state that is shown at a time: baseline, what is left of the deviation and of ripples."""
    return shown(session.baseline, *_moved(session, at, half_life))


def _moved(session: Session, at: float, half_life: float) -> list[Pad]:
    deviation = faded(session.deviation, at - session.at, half_life)
    return [deviation, *(contribution(ripple, at) for ripple in session.ripples)]


def after(session: Session, event: Event, half_life: float) -> Session:
    """The session that an event makes of it."""
    deviation, ripples = faded(session.deviation, event.at - session.at, half_life), session.ripples
    if event.kind == "reset":
        deviation, ripples = REST, ()
    elif event.duration is not None:
        ripples = (*ripples, Ripple(event.impulse, event.at, event.duration))
    else:
        deviation = total((deviation, event.impulse))
    return replace(
        session,
        deviation=deviation,
        at=event.at,
        seq=session.seq + 1,
        turns=session.turns + (event.kind == "turn"),
        ripples=ripples,
    )


def entry_of(session: Session, event: Event, half_life: float) -> Entry:
    """The line that is written for the event that `session` has just gone through."""
    state = feeling(session, event.at, half_life)
    return Entry(session.seq, event, session.deviation, state)


def reset_at(session: Session, at: float, half_life: float) -> Event:
    """The event that brings a session back to its baseline."""
    moved = total(_moved(session, at, half_life))
    taken = Pad(-moved.valence, -moved.arousal, -moved.dominance)
    return Event("reset", at, "neutral", "reset", 0.0, taken)


def told(session: Session, half_life: float) -> SessionState:
    """The session's state at the time it was read."""
    return SessionState(
        session.tenant_id, session.session_id, feeling(session, session.now, half_life),
        session.baseline, session.traits, session.turns, session.now, session.at, session.created,
    )  # fmt: skip


def state_object(state: SessionState) -> dict[str, Any]:
    """The feeling as the API tells it: four decimals of each axis, and words that are made of just
    these. The words change from turn to turn, not from look to look."""
    return feeling_object(state.pad, f"{state.session_id} {state.turns}")


def feeling_object(pad: Pad, seed: str) -> dict[str, Any]:
    """A feeling in numbers and in words; see `description` for the seed."""
    told = Pad(*(round(axis, 4) + 0.0 for axis in pad))  # + 0.0: no "-0.0"
    return {**told._asdict(), "description": description(told, seed)}
