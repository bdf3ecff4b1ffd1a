"""The body of a request to the router: a chat completion's, but that the model is left open; and
the parameters of its picture."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.web.schemas.chat import ChatRequest, ExtraBody


class RouterExtraBody(ExtraBody):
    """What a client may also write under `extra_body`."""

    execute: bool | None = None


class RouterRequest(ChatRequest):
    """A request to the router. Without `execute` it is not answered, only decided."""

    execute: bool | None = None
    extra_body: RouterExtraBody | None = None


class ParetoQuery(BaseModel):
    """The form of the answer; without it, what the Accept header likes best, else JSON."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[Literal["json", "svg"] | None, Field(description="or by Accept")] = None
