"""Bodies of searches in lunes."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.web.schemas.chat import LuneName, MetaKey, MetaValue
from app.web.schemas.memory import QUERY_MAX

PASSAGES_MAX = 100
LUNES_MAX = 16
"""Lunes that are searched at once."""

Weight = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class FusionBody(_Strict):
    """What meaning and words weigh in a score; only their proportion counts."""

    meaning: Weight
    words: Weight

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if self.meaning + self.words < 0.001:
            raise ValueError("one of meaning and words must weigh something")
        return self


class LuneSearchBody(_Strict):
    """What is looked for. `fusion`: in place of the lune's weights; `metadata`: only in documents
    that have these pairs."""

    query: Annotated[str, Field(min_length=1, max_length=QUERY_MAX, pattern=r"^[^\x00]*$")]
    limit: Annotated[int, Field(ge=1, le=PASSAGES_MAX)] = 10
    fusion: FusionBody | None = None
    metadata: Annotated[dict[MetaKey, MetaValue], Field(max_length=16)] | None = None


class LunesSearchBody(LuneSearchBody):
    """The same in several lunes, by id or name."""

    lunes: Annotated[list[LuneName], Field(min_length=1, max_length=LUNES_MAX)]
