"""What the page of a web chat sends."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SAID_MAX = 32_000
"""Characters of one message at most."""


class SaidBody(BaseModel):
    """A visitor's message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content: Annotated[str, Field(min_length=1, max_length=SAID_MAX, pattern=r"\S")]
