"""Web chats: as their tenant sees them, and what their page asks for."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.openapi.operation import STREAM, Header, Operation, PageQuery, Query, Room, Told
from app.web.schemas.web_chat import SaidBody

TITLE = "Web chats"
EVENT_ID = r"^[0-9]{1,9}-[0-9]{1,9}$"


class WebChat(Told):
    """A web chat; never its address, which the answer alone tells that it goes on from."""

    id: str
    object: Literal["web_chat"]
    status: Literal["open", "expired", "revoked"]
    job_id: str
    key_id: str
    turns: int
    budget_usd: float
    spent_usd: float
    created_at: int
    expires_at: int
    revoked_at: int | None


class WebChatEnded(Told):
    """A web chat whose address leads nowhere any more."""

    id: str
    object: Literal["web_chat"]
    deleted: Literal[True]


class Conversation(Told):
    """A conversation as its page shows it. `goes_on`: whether there may be another turn."""

    object: Literal["web_chat"]
    model: str
    expires_at: int
    goes_on: bool
    messages: list[dict[str, Any]]


class WebChatTurn(Told):
    """A turn that has begun."""

    object: Literal["web_chat.turn"]
    turn: int


class WebChatStop(Told):
    """Whether there was an answer to stop."""

    object: Literal["web_chat.stop"]
    stopped: bool


class TurnQuery(Query):
    """Which turn, and where to go on."""

    turn: Annotated[str, Field(pattern=r"^[0-9]{1,3}$", description="the number of the turn")]
    starting_after: Annotated[
        str, Field(pattern=EVENT_ID, description="the id of the last event that was read")
    ] = ""


WEB_CHATS = Room(TITLE, {
    "list_web_chats": Operation("The tenant's web chats, newest first", WebChat, True,
                                query=PageQuery),
    "delete_web_chat": Operation("End a web chat", WebChatEnded),
})  # fmt: skip

WEB_CHAT_PAGE = Room(TITLE, {
    "page": Operation("The page of a web chat", forms={"text/html": str}),
    "list_messages": Operation("The conversation, for its page", Conversation, refuses=(403,)),
    "say": Operation("Begin a turn, from the page", WebChatTurn, status=201, takes=SaidBody,
                     refuses=(402, 403, 409, 410, 422, 429),
                     headers=(Header("Idempotency-Key", "sent twice, begun once",
                                     {"type": "string", "minLength": 1, "maxLength": 255}),)),
    "stop": Operation("Stop the answer on its way, from the page", WebChatStop, refuses=(403,)),
    "follow": Operation(
        "The events of a turn, for the page", query=TurnQuery, forms=STREAM, refuses=(403,),
        headers=(Header("Last-Event-ID", "the id of the last event that was read",
                        {"type": "string", "pattern": EVENT_ID}),),
    ),
})  # fmt: skip

ASSETS = Room("Files of pages", {
    "get_asset": Operation("A file of a page", also={304: None},
                           forms={"text/css": str, "text/javascript": str, "image/svg+xml": str}),
})  # fmt: skip
