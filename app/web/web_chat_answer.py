"""The answers of the chat door that tell a web chat."""

import orjson
from flask import Response

from app.events.log import Event
from app.jobs.model import Draft
from app.web.front import Front
from app.web.inference import Shape, json_answer
from app.web.openai_stream import Chunks
from app.web.web_chat_link import Link

TELLS = ("context", "snapshot")
"""The events that tell what shaped an answer."""


class LinkedChunks(Chunks):
    """The stream of an answer that tells a web chat."""

    def __init__(self, draft: Draft, usage: bool, link: Link) -> None:
        super().__init__(draft, usage)
        self._link, self._tenant_id = link, draft.tenant_id

    def begins(self, event: Event) -> bool:
        return super().begins(self._linked(event))

    def frame(self, event: Event) -> bytes:
        return super().frame(self._linked(event))

    def _linked(self, event: Event) -> Event:
        if event.name not in TELLS:
            return event
        told = self._link.put_in(orjson.loads(event.data), self._tenant_id)
        return Event(event.id, event.name, orjson.dumps(told))


def linked_shape(front: Front, usage: bool) -> Shape:
    """How the chat door answers a request that asks for a web chat."""
    link = Link(front)

    def whole(body: bytes, draft: Draft) -> Response:
        told = link.put_in(orjson.loads(body), draft.tenant_id)
        return json_answer(orjson.dumps(told), draft)

    return Shape(form=lambda draft: LinkedChunks(draft, usage, link), whole=whole)
