"""What a tier allows: the three limits of a tenant or a key."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Cap = Annotated[int, Field(ge=1)] | None
"""How many at most; None: no limit."""


class Limits(BaseModel):
    """Requests in any 60 seconds, tokens of a UTC day, sessions at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: Cap = None
    tokens_per_day: Cap = None
    sessions: Cap = None

    def over(
        self, requests_per_minute: int | None, tokens_per_day: int | None, sessions: int | None
    ) -> "Limits":
        """These limits with overrides, of which those that are not None stand."""
        given = {
            "requests_per_minute": requests_per_minute,
            "tokens_per_day": tokens_per_day,
            "sessions": sessions,
        }
        stand = {name: cap for name, cap in given.items() if cap is not None}
        return Limits(**{**self.model_dump(), **stand}) if stand else self
