"""Bodies of feedback and of rollbacks."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

THUMBS = {"up": 1.0, "neutral": 0.0, "down": -1.0}
STARS_MAX = 5
TEXT = r"^[^\x00]*$"


def _rating(value: Any) -> Any:
    """A thumb as a number; anything else as it came."""
    if isinstance(value, str):
        if value not in THUMBS:
            raise PydanticCustomError("rating", "Input should be up, neutral, down or -1 to 1")
        return THUMBS[value]
    if isinstance(value, int) and not isinstance(value, bool) and 1 < value <= STARS_MAX:
        # One star and a thumb up would both be 1.
        raise PydanticCustomError("rating", "Input should be -1 to 1; send stars of five as stars")
    return value


RATING = {"anyOf": [{"type": "number", "minimum": -1, "maximum": 1}, {"enum": list(THUMBS)}]}
Rating = Annotated[float, BeforeValidator(_rating), Field(ge=-1, le=1), WithJsonSchema(RATING)]
AnswerId = Annotated[str, Field(min_length=1, max_length=128)]
Trait = Annotated[str, Field(min_length=1, max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class FeedbackBody(_Strict):
    """Feedback on an answer: `rating`, `stars` or `traits`, and words."""

    job_id: AnswerId | None = None
    completion_id: AnswerId | None = None
    rating: Rating | None = None
    stars: Annotated[int, Field(ge=1, le=STARS_MAX)] | None = None
    reason: Annotated[str, Field(max_length=2_000, pattern=TEXT)] | None = None
    correction: Annotated[str, Field(max_length=32_000, pattern=TEXT)] | None = None
    traits: Annotated[dict[Trait, Literal["more", "less"]], Field(max_length=32)] | None = None

    @property
    def told(self) -> float | None:
        """The rating from -1 to 1: three stars are neither good nor bad."""
        middle = (1 + STARS_MAX) / 2
        return self.rating if self.stars is None else (self.stars - middle) / (STARS_MAX - middle)


class RollbackBody(_Strict):
    """What is undone; one of the three."""

    change_id: AnswerId | None = None
    to_generation: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    to: Literal["baseline"] | None = None

    def given(self) -> dict[str, Any]:
        """The fields that are there."""
        return self.model_dump(exclude_none=True)
