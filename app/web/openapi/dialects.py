"""The doors of inference in other dialects: OpenAI's Responses and Anthropic's Messages."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.inference import ASKING, TITLE, Routing, door
from app.web.openapi.money import Deleted
from app.web.openapi.operation import STREAM, Operation, Room, Told
from app.web.schemas.messages import CountRequest, MessageRequest
from app.web.schemas.responses import ItemsQuery, ResponseRequest, RetrieveQuery


class Response(Told):
    """A response. A stream sends OpenAI's named events, numbered by `sequence_number`."""

    id: Annotated[str, Field(pattern="^resp_")]
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None
    routing: Routing | None = None


class Item(Told):
    """An item of what a response was asked."""

    id: str
    type: str


RESPONSES = Room(TITLE, {
    "create_response": door("A response: whole, streamed, or in the background", Response,
                            ResponseRequest, forms=STREAM),
    "get_response": Operation("A response as it is now, or its events", Response,
                              query=RetrieveQuery, forms=STREAM),
    "cancel_response": Operation("Cancel a response, if it has not ended", Response),
    "delete_response": Operation("Delete a response that has ended", Deleted, refuses=(409,)),
    "list_input_items": Operation("What a response was asked", Item, True, query=ItemsQuery),
})  # fmt: skip


class Message(Told):
    """A message. A stream sends Anthropic's named events."""

    id: Annotated[str, Field(pattern="^msg_")]
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    usage: dict[str, Any]
    routing: Routing | None = None


class TokenCount(Told):
    """How many tokens a message would have, by estimate."""

    input_tokens: int
    estimated: bool


class AnthropicErrorDetail(Told):
    """What went wrong."""

    type: str
    message: str


class AnthropicError(Told):
    """An error in Anthropic's form."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str | None = None


MESSAGES = Room(TITLE, {
    "create_message": door("A message: whole, streamed, or as a job", Message, MessageRequest,
                           forms=STREAM, errors_as=AnthropicError),
    "count_message_tokens": Operation("How many tokens a message would have", TokenCount,
                                      takes=CountRequest, headers=ASKING[1:2], refuses=(404,),
                                      errors_as=AnthropicError),
})  # fmt: skip
