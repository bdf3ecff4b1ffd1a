"""Searches in lunes."""

from typing import Annotated, Literal

from pydantic import Field

from app.web.openapi.operation import Operation, Room, Told
from app.web.schemas.lune_search import LuneSearchBody, LunesSearchBody


class Parts(Told):
    """What a score is made of."""

    meaning: float
    words: float


class FoundPassage(Told):
    """A passage that was found. `url`: the document's source; `start` and `end`: where in its text
    the passage stands, in characters."""

    object: Literal["lune.passage"]
    lune_id: Annotated[str, Field(pattern="^lune_")]
    document_id: str
    ordinal: int
    title: str | None
    heading: str
    text: str
    url: str | None
    page: int | None
    start: int
    end: int
    metadata: dict[str, str]
    score: float
    parts: Parts


class FoundPassages(Told):
    """The passages that answer a question best, best first."""

    object: Literal["list"]
    data: list[FoundPassage]


LUNE_SEARCH = Room("Lunes", {
    "search_lune": Operation("The passages of a lune that answer a question best", FoundPassages,
                             takes=LuneSearchBody, refuses=(429,)),
    "search_lunes": Operation("The same in several lunes", FoundPassages, takes=LunesSearchBody,
                              refuses=(404, 429)),
})  # fmt: skip
