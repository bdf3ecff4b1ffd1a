"""The body of a request to the router: a chat completion's, but that the model is left open."""

from app.web.schemas.chat import ChatRequest


class RouterRequest(ChatRequest):
    """A request to the router. Without `execute` it is not answered, only decided."""

    execute: bool | None = None
