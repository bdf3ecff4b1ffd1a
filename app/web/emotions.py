"""`/v1/emotions`: what sessions feel, what moves them, and what all of them feel together."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response

from app.embedding.apart import apart
from app.emotion.directions import emotion_named
from app.emotion.ripples import RIPPLE_KIND
from app.emotion.service import Emotions
from app.emotion.session import Entry, SessionState, state_object
from app.emotion.session_name import checked_session
from app.emotion.weather import TREND_S, Weather, weather
from app.errors import Forbidden, InvalidRequest, NotFound
from app.web.auth import caller
from app.web.body import read_request
from app.web.chores import run_chore
from app.web.front import Front
from app.web.paging import PAGE, json_answer, limit, page, parameters
from app.web.posting import answered
from app.web.schemas.emotions import RippleBody, SessionsQuery, StateQuery, WeatherQuery

DIGITS = 4
"""Decimals of the numbers that are told."""


def emotion_routes(front: Front) -> Blueprint:
    """The blueprint of sessions' feelings."""
    routes = Blueprint("emotions", __name__, url_prefix="/v1/emotions")
    emotions = Emotions(front.reads, front.settings, front.catalogue.personality)

    @routes.get("")
    def list_sessions() -> Response:
        asked, size = parameters(SessionsQuery), limit()
        found = emotions.sessions(caller().tenant_id, asked.after, size + 1)
        return json_answer(page([listed_object(state) for state in found], size))

    @routes.get("/weather")
    def get_weather() -> Response:
        platform = parameters(WeatherQuery).scope == "platform"
        if platform and "admin" not in caller().scopes:
            raise Forbidden("The weather of the platform needs the scope 'admin'.", param="scope")
        tenant_id = None if platform else caller().tenant_id
        states = [state.pad for state in emotions.active(tenant_id)]
        # Of ten thousand sessions it takes a tenth of a second.
        found = apart(weather, states, emotions.trend(tenant_id, TREND_S))
        return json_answer(weather_object(found))

    @routes.get("/<session_id>")
    def get_state(session_id: str) -> Response:
        parameters(StateQuery)
        size, tenant_id = limit(), caller().tenant_id
        state = _there(emotions.state(tenant_id, _named(session_id)))
        return json_answer(session_object(state, emotions.history(tenant_id, session_id, size)))

    @routes.delete("/<session_id>")
    def delete_session(session_id: str) -> Response:
        if not emotions.forget(caller().tenant_id, _named(session_id)):
            raise _nobody()
        return json_answer({"id": session_id, "object": "emotion_session", "deleted": True})

    @routes.post("/reset/<session_id>")
    def reset_session(session_id: str) -> Response:
        tenant_id = caller().tenant_id

        def work() -> tuple[int, dict[str, Any]]:
            state = _there(emotions.reset(tenant_id, _named(session_id)))
            return 200, session_object(state, emotions.history(tenant_id, session_id, PAGE))

        return answered(front, work)

    @routes.post("/ripple/<session_id>")
    def create_ripple(session_id: str) -> Response:
        checked_session(session_id)
        asked, body = read_request(front, RippleBody)
        ripple = {**asked.model_dump(), "emotion": emotion_named(asked.emotion)}
        return run_chore(
            front, RIPPLE_KIND, {"session_id": session_id, **ripple},
            f"/emotions/ripple/{session_id}", body,
        )  # fmt: skip

    return routes


def session_object(state: SessionState, history: list[Entry]) -> dict[str, Any]:
    """What a session feels and what moved it, in the form of the first seed."""
    return {
        "session_id": state.session_id,
        "current_state": state_object(state),
        "emotion_history": [
            {
                "timestamp": iso(entry.event.at),
                "emotion": entry.event.emotion,
                "trigger": entry.event.trigger,
                "intensity": round(entry.event.intensity, DIGITS),
            }
            for entry in history
        ],
        "personality_traits": state.traits,
    }


def listed_object(state: SessionState) -> dict[str, Any]:
    """A session as the list has it."""
    return {
        "id": state.session_id,
        "object": "emotion_session",
        "session_id": state.session_id,
        "current_state": state_object(state),
        "turns": state.turns,
        "created_at": int(state.created),
    }


def weather_object(found: Weather) -> dict[str, Any]:
    """The weather, in the form of the first seed."""
    return {
        "current_weather": found.current_weather,
        "collective_valence": round(found.collective_valence, DIGITS),
        "active_sessions": found.active_sessions,
        "dominant_emotions": found.dominant_emotions,
        "forecast": found.forecast,
    }


def iso(at: float) -> str:
    """Unix seconds as 2024-01-15T10:30:00Z."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _named(session_id: str) -> str:
    """The name of a path. Raises NotFound for what is nobody's."""
    try:
        return checked_session(session_id)
    except InvalidRequest as error:
        raise NotFound(error.message, param="session_id") from None


def _there(state: SessionState | None) -> SessionState:
    if state is None:
        raise _nobody()
    return state


def _nobody() -> NotFound:
    return NotFound(
        "There is no such session. One begins with its first message that has emotion_tracking, or "
        "with a ripple.",
        param="session_id",
    )
