"""The body of a request to the router: a chat completion's, but that the model is left open."""

from app.web.schemas.chat import ChatRequest, ExtraBody


class RouterExtraBody(ExtraBody):
    """What a client may also write under `extra_body`."""

    execute: bool | None = None


class RouterRequest(ChatRequest):
    """A request to the router. Without `execute` it is not answered, only decided."""

    execute: bool | None = None
    extra_body: RouterExtraBody | None = None
