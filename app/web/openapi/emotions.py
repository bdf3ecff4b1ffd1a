"""What sessions feel, and what all of them feel together."""

from typing import Literal

from app.web.openapi.inference import door
from app.web.openapi.money import Deleted
from app.web.openapi.operation import Header, Operation, Room, Told
from app.web.schemas.emotions import RippleBody, SessionsQuery, StateQuery, WeatherQuery


class Feeling(Told):
    """A point from -1 to 1 on each axis, and the same in words."""

    valence: float
    arousal: float
    dominance: float
    description: str


class Felt(Told):
    """A moment of a session: what moved it, and how strongly, from 0 to 1."""

    timestamp: str
    emotion: str
    trigger: str
    intensity: float


class EmotionalState(Told):
    """What a session feels, and how it came to that, the newest last."""

    session_id: str
    current_state: Feeling
    emotion_history: list[Felt]
    personality_traits: dict[str, float]


class EmotionalSession(Told):
    """A session of the list; `id` is its name."""

    id: str
    object: Literal["emotion_session"]
    session_id: str
    current_state: Feeling
    turns: int
    created_at: int


class Rippled(Told):
    """What a ripple has done: `reached` other sessions have caught of it."""

    session_id: str
    emotion: str
    intensity: float
    duration: float
    reached: int


class EmotionalWeather(Told):
    """What the active sessions feel together."""

    current_weather: str
    collective_valence: float
    active_sessions: int
    dominant_emotions: list[str]
    forecast: str


EMOTIONS = Room("Emotions", {
    "list_sessions": Operation("The sessions that feel, by name", EmotionalSession, True,
                               query=SessionsQuery),
    "get_weather": Operation("What the active sessions feel together", EmotionalWeather,
                             query=WeatherQuery),
    "get_state": Operation("What a session feels", EmotionalState, query=StateQuery),
    "delete_session": Operation("Forget a session and all that it felt", Deleted),
    "reset_session": Operation("Bring a session back to its baseline", EmotionalState),
    "create_ripple": door("An impulse that fades, and reaches other sessions", Rippled, RippleBody,
                          headers=(Header("Prefer", "wait=N: wait N seconds for the result"),)),
})  # fmt: skip
