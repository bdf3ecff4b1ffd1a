"""`emotion.ripple`: sends a ripple through a session, and to the tenant's other active ones."""

from functools import partial
from typing import Any

import orjson

from app.emotion.service import Emotions
from app.emotion.session import state_object
from app.evolution.service import current_traits
from workers.chores.base import Chore


class SendRipple(Chore):
    """One transaction, which a second attempt finds done.

    The request has `session_id`, `emotion`, `intensity`, `duration` (seconds) and `description`.
    """

    def work(self) -> dict[str, Any]:
        asked, parts = orjson.loads(self.job.request), self.parts
        assert parts.reads is not None, "every desk has connections for reads"
        personality = partial(current_traits, baseline=parts.catalogue.personality)
        send = partial(
            Emotions(parts.reads, parts.settings, personality).ripple,
            self.job.tenant_id, asked["session_id"], asked["emotion"], asked["intensity"],
            asked["duration"], asked["description"], self.job.id,
        )  # fmt: skip
        done = self.with_postgres(send)
        return {
            "session_id": done.state.session_id,
            "emotion": done.emotion,
            "intensity": done.intensity,
            "duration": done.duration,
            "reached": done.reached,
            "current_state": state_object(done.state),
        }
