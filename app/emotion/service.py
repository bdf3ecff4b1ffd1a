"""What sessions feel: turns, ripples and resets change it, and anyone of the tenant may look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.db.connect import Connection
from app.db.reads import Reads
from app.emotion import store
from app.emotion.directions import emotion_named
from app.emotion.impulse import impulse_of, trigger_of
from app.emotion.reading.model import Reading
from app.emotion.reading.reader import reader
from app.emotion.ripples import DURATION_MAX_S, RIPPLES_MAX, caught, vector_of
from app.emotion.session import (
    Entry,
    Event,
    Session,
    SessionState,
    after,
    entry_of,
    feeling,
    reset_at,
    told,
)
from app.emotion.state import Pad, shown
from app.emotion.traits import baseline_of
from app.emotion.words import primary_emotion
from app.errors import Conflict, InvalidRequest, NotFound
from app.settings import Settings

REACH_MAX = 1000
"""Other sessions that one ripple reaches: those that were active last."""

CONTAGION = "contagion"
"""The trigger of what a session catches. What was said of the ripple stays with its own session."""

Traits = Mapping[str, float]
Personality = Traits | Callable[[Connection, str], Traits]
"""The traits that a tenant's sessions begin with: the same for all, or a look-up by its id."""


@dataclass(frozen=True, slots=True)
class Felt:
    """What a turn leaves: the session's feeling and traits, and what was read in the text.

    `primary` is the word for the feeling; `confidence` how sure the reading is that moved it: the
    calibrated probability of its first label. `turns`: those of the session so far.
    """

    pad: Pad
    traits: dict[str, float]
    reading: Reading
    primary: str
    confidence: float
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Rippled:
    """What a ripple has done: on how many other sessions, and to the one it was meant for."""

    emotion: str
    intensity: float
    duration: float
    reached: int
    state: SessionState


class Emotions:
    """The feelings of all sessions. Every method raises Unavailable if Postgres is away."""

    def __init__(
        self, reads: Reads, settings: Settings, personality: Personality,
        read: Callable[[str], Reading] | None = None,
    ) -> None:  # fmt: skip
        self._reads, self._half_life = reads, settings.emotion_half_life
        self._personality = personality
        self._read = read or reader(settings).read

    def turn(
        self, tenant_id: str, session_id: str | None, text: str, job_id: str, traits: Traits | None
    ) -> Felt:
        """A turn of the user. The traits that it names stay with the session. Without a session
        nothing is stored: the feeling is the baseline moved by this turn alone.

        A job's second attempt changes nothing, and finds the feeling as it is then. Raises
        ModelUnfit or OSError if the model that reads cannot be loaded.
        """
        reading = self._read(text)
        named = dict(traits or {})
        if session_id is None:
            begun = {**self._reads.run(lambda it: self._traits_of(it, tenant_id)), **named}
            pad = shown(baseline_of(begun), impulse_of(reading, begun).vector)
            return _felt(pad, begun, reading)
        trigger = trigger_of(text)
        session = self._reads.run(
            lambda it: self._turn(it, tenant_id, session_id, reading, trigger, job_id, named)
        )
        pad = feeling(session, session.now, self._half_life)
        return _felt(pad, session.traits, reading, session.turns)

    def ripple(
        self, tenant_id: str, session_id: str, emotion: str, intensity: float, duration: float,
        description: str, job_id: str,
    ) -> Rippled:  # fmt: skip
        """Sends a ripple through a session, which is begun if there is none, and to the tenant's
        other active ones. A second attempt of its job changes nothing.

        Raises InvalidRequest for what is no emotion, and for an intensity not above 0 and up to 1
        or a duration not above 0 and up to a day (seconds); Conflict at RIPPLES_MAX.
        """
        emotion = emotion_named(emotion)
        if not 0 < intensity <= 1:
            raise InvalidRequest("intensity must be above 0, and 1 at most.", param="intensity")
        if not 0 < duration <= DURATION_MAX_S:
            raise InvalidRequest(
                f"duration must be above 0, and {DURATION_MAX_S:g} seconds at most.",
                param="duration",
            )
        event = Event(
            "ripple", 0.0, emotion, description or "ripple", intensity,
            vector_of(emotion, intensity), duration, job_id,
        )  # fmt: skip
        own, reached = self._reads.run(lambda it: self._ripple(it, tenant_id, session_id, event))
        return Rippled(emotion, intensity, duration, reached, told(own, self._half_life))

    def reset(self, tenant_id: str, session_id: str) -> SessionState | None:
        """Brings a session back to its baseline and ends its ripples; None if there is none."""
        session = self._reads.run(lambda it: self._reset(it, tenant_id, session_id))
        return told(session, self._half_life) if session else None

    def state(self, tenant_id: str, session_id: str) -> SessionState | None:
        """How a tenant's session feels now, or None."""
        session = self._reads.run(lambda it: store.find(it, tenant_id, session_id))
        return told(session, self._half_life) if session else None

    def history(self, tenant_id: str, session_id: str, limit: int) -> list[Entry]:
        """The last lines of a session's history, the newest last."""
        return self._reads.run(lambda it: store.history(it, tenant_id, session_id, limit))

    def sessions(self, tenant_id: str, after_id: str | None, limit: int) -> list[SessionState]:
        """A tenant's sessions by id, those after `after_id`."""
        found = self._reads.run(lambda it: store.page(it, tenant_id, after_id, limit))
        return [told(session, self._half_life) for session in found]

    def active(self, tenant_id: str | None) -> list[SessionState]:
        """The active sessions of a tenant, or of all tenants with None."""
        found = self._reads.run(lambda it: store.active(it, tenant_id))
        return [told(session, self._half_life) for session in found]

    def trend(self, tenant_id: str | None, window_s: float) -> list[list[tuple[float, float]]]:
        """Of each session with events in the last `window_s`: when (unix seconds), and the valence
        after it; the oldest first."""
        return self._reads.run(lambda it: store.trend(it, tenant_id, window_s))

    def forget(self, tenant_id: str, session_id: str) -> bool:
        """Deletes a session and all that it felt; False if there is none."""
        return self._reads.run(lambda it: store.forget(it, tenant_id, session_id))

    def _traits_of(self, connection: Connection, tenant_id: str) -> dict[str, float]:
        known = self._personality
        return dict(known(connection, tenant_id) if callable(known) else known)

    def _turn(
        self, connection: Connection, tenant_id: str, session_id: str, reading: Reading,
        trigger: str, job_id: str, named: dict[str, float],
    ) -> Session:  # fmt: skip
        begun = self._traits_of(connection, tenant_id)
        with connection.transaction():
            session = _locked(connection, tenant_id, session_id, begun)
            if session_id in store.done_by(connection, tenant_id, job_id):
                return session
            asked = {**session.asked, **named}
            traits = {**begun, **asked}
            session = replace(session, asked=asked, traits=traits, baseline=baseline_of(traits))
            impulse = impulse_of(reading, traits)
            event = Event(
                "turn", session.now, impulse.emotion, trigger, impulse.intensity, impulse.vector,
                None, job_id,
            )  # fmt: skip
            return self._happened(connection, [(session, event)])[0]

    def _ripple(
        self, connection: Connection, tenant_id: str, session_id: str, event: Event
    ) -> tuple[Session, int]:
        begun = self._traits_of(connection, tenant_id)
        # By itself: a row that is being made would be locked before those that have smaller ids.
        store.ensure(connection, tenant_id, session_id, begun, baseline_of(begun))
        with connection.transaction():
            near = store.active_ids(connection, tenant_id, REACH_MAX + 1)
            sessions = {
                session.session_id: session
                for session in store.lock(connection, tenant_id, {session_id, *near})
            }
            own = sessions.pop(session_id, None)
            if own is None:
                raise NotFound(f"There is no session {session_id!r} any more.", param="session_id")
            done = store.done_by(connection, tenant_id, event.job_id or "")
            if session_id in done:
                return own, len(done) - 1
            if len(own.ripples) >= RIPPLES_MAX:
                raise Conflict(f"{RIPPLES_MAX} ripples go through this session already; wait.")
            fresh = sessions.keys() - done
            others = [sessions[near_id] for near_id in near if near_id in fresh]
            caught_by = _caught_by(event, own, others)[:REACH_MAX]
            changed = self._happened(connection, [(own, replace(event, at=own.now)), *caught_by])
            return changed[0], len(caught_by)

    def _reset(self, connection: Connection, tenant_id: str, session_id: str) -> Session | None:
        with connection.transaction():
            found = store.lock(connection, tenant_id, [session_id])
            if not found:
                return None
            event = reset_at(found[0], found[0].now, self._half_life)
            return self._happened(connection, [(found[0], event)])[0]

    def _happened(
        self, connection: Connection, events: list[tuple[Session, Event]]
    ) -> list[Session]:
        """Writes down what happened to sessions that are locked; returns them as they are then."""
        changed = [(after(session, event, self._half_life), event) for session, event in events]
        store.write(
            connection,
            [(session, entry_of(session, event, self._half_life)) for session, event in changed],
        )
        return [session for session, _ in changed]


def _locked(
    connection: Connection, tenant_id: str, session_id: str, traits: dict[str, float]
) -> Session:
    """A session, begun if there is none, locked. One may be forgotten between the two steps."""
    while not (found := store.lock(connection, tenant_id, [session_id])):
        store.ensure(connection, tenant_id, session_id, traits, baseline_of(traits))
    return found[0]


def _caught_by(
    event: Event, sender: Session, receivers: list[Session]
) -> list[tuple[Session, Event]]:
    """What other sessions catch of a ripple: those that catch any, and have room for it."""
    felt = []
    for receiver in receivers:
        intensity = event.intensity * caught(sender.traits, receiver.traits)
        if intensity > 0 and len(receiver.ripples) < RIPPLES_MAX:
            vector = vector_of(event.emotion, intensity)
            contagion = replace(
                event, kind="contagion", at=receiver.now, trigger=CONTAGION, intensity=intensity,
                impulse=vector,
            )  # fmt: skip
            felt.append((receiver, contagion))
    return felt


def _felt(pad: Pad, traits: dict[str, float], reading: Reading, turns: int = 0) -> Felt:
    return Felt(pad, traits, reading, primary_emotion(pad), reading.confidence, turns)
