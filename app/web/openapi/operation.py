"""What a route is described by. One table for each room has an `Operation` for each of its views;
paths, methods, guards and the errors that all routes share are read from the application."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ADMITTED = (402, 404, 410, 429, 499, 502, 504)
"""The errors of a route that admits a job and may wait for it, beside those of all routes."""


class Told(BaseModel):
    """Base of what the API answers with. Fields with a default may be absent."""

    model_config = ConfigDict(extra="allow")


class Event(Told):
    """An event of a stream (server-sent events). `data` is JSON; doors of OpenAI's first form name
    none and end with `[DONE]`."""

    data: str
    event: str = ""
    id: str = ""


STREAM = {"text/event-stream": Event}


class Query(BaseModel):
    """Base of query parameters that a view reads one by one."""


class PageQuery(Query):
    """The parameters of a list."""

    limit: Annotated[int, Field(ge=1, le=100, description="how many entries")] = 20
    after: Annotated[
        str,
        Field(pattern=r"^[\w.:@-]{1,128}$", description="the last_id of the page before"),
    ] = ""


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that a view reads."""

    name: str
    about: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `gives`: the whole answer, with `status`; `pages`: it is a list of them.

    `takes`: the body, by media type where it is not JSON. `query`: its parameters. `forms`: what
    else the answer may be, by media type. `also`: further answers that are no errors, by status.
    `refuses`: errors beyond those that `document` gives to all routes of its sort. `errors_as`: the
    shape of an error where it is not OpenAI's.
    """

    about: str
    gives: Any = None
    pages: bool = False
    status: int = 200
    takes: type[BaseModel] | Mapping[str, Any] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[Header, ...] = ()
    forms: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[int, Any] = field(default_factory=dict)
    refuses: tuple[int, ...] = ()
    errors_as: Any = None


@dataclass(frozen=True, slots=True)
class Room:
    """The operations of a blueprint, by the name of the view; `title` is shown above them."""

    title: str
    operations: Mapping[str, Operation]
