"""`/chat/{token}`: a page where a conversation goes on, for whoever has its address.

The token is all that opens it; there are no cookies. A program of another site may neither read nor
write here: what the browser says of where a request comes from must be this site.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, g, request

from app.accounts.keys import principal_of
from app.errors import Forbidden, InvalidRequest, NotFound
from app.events.log import QUEUED, Event, parse_id
from app.ids import new_id
from app.web.application import current
from app.web.body import idempotency_key, read_request
from app.web.delivery import forgetting
from app.web.front import Front
from app.web.jobs import cancelled, event_frames
from app.web.pages import hardened, html_page
from app.web.paging import json_answer
from app.web.schemas.web_chat import SaidBody
from app.web.sse import frame, stream_response
from app.web.web_chat_turns import start_turn
from app.webchat import store
from app.webchat.conversation import emotion, failure, shown
from app.webchat.model import TOKEN, TURNS_MAX, Opened, Turn, token_hash

RECONNECT = b"retry: 1000\n\n"
"""Milliseconds until a browser asks again for a stream that was cut."""


def web_chat_page_routes(front: Front) -> Blueprint:
    """The blueprint of the page and of what it asks for."""
    routes = Blueprint("web_chat_page", __name__, template_folder="templates")

    @routes.after_request
    def harden(answer: Response) -> Response:
        # Of the tenant's budgets, which are none of the visitor's business.
        answer.headers.pop("X-Budget-Warning", None)
        return hardened(answer)

    @routes.get("/chat/<token>")
    def page(token: str) -> Response:
        try:
            opened(front, token)
        except NotFound:
            if not request.accept_mimetypes["text/html"] > request.accept_mimetypes["text/plain"]:
                raise
            return html_page("web_chat_gone.html", 404)
        return html_page("web_chat.html")

    @routes.get("/chat/<token>/messages")
    def list_messages(token: str) -> Response:
        _from_here(front)
        return json_answer(_conversation(front, opened(front, token)))

    @routes.post("/chat/<token>/messages")
    def say(token: str) -> Response:
        _from_here(front, writes=True)
        chat = opened(front, token)
        wanted, _ = read_request(front, SaidBody)
        number = start_turn(front, chat, wanted.content, idempotency_key() or new_id("say"))
        return json_answer({"object": "web_chat.turn", "turn": number}, 201)

    @routes.post("/chat/<token>/stop")
    def stop(token: str) -> Response:
        _from_here(front, writes=True)
        chat = opened(front, token)
        turns = front.reads.run(lambda c: store.turns(c, chat.id))
        # The first answer is another client's to cancel.
        going = [turn for turn in turns[1:] if turn.open and turn.state is not None]
        for turn in going:
            cancelled(front, front.jobs.find(turn.job_id, chat.tenant_id))
        return json_answer({"object": "web_chat.stop", "stopped": bool(going)})

    @routes.get("/chat/<token>/events")
    def follow(token: str) -> Response:
        _from_here(front)
        chat = opened(front, token)
        turn = _turn(front, chat)
        place = request.headers.get("Last-Event-ID") or request.args.get("starting_after")
        last = QUEUED if place is None else max(QUEUED, parse_id(place, "starting_after"))
        job = front.jobs.find(turn.job_id, chat.tenant_id)
        tail = front.tail(job.id, job.tenant_id, last)
        forget = forgetting(front, job)
        frames = event_frames(tail, job, False, request.environ, forget, page_frame)
        return stream_response(_with_retry(frames), {})

    return routes


def opened(front: Front, token: str) -> Opened:
    """The web chat of a token; the request in hand acts for the key that it stands for. Raises
    NotFound, the same for a token that never was, has ended, or was revoked."""
    found = None
    if TOKEN.fullmatch(token):
        found = front.reads.run(lambda c: store.find(c, token_hash(token)))
    if found is None:
        raise NotFound("This link leads nowhere: it has ended, or it never was.")
    current(g).principal = principal_of(found.key, front.catalogue)
    return found


def page_frame(event: Event) -> bytes:
    """An event as the page gets it: text, feeling and the end, and nothing of costs and routes."""
    name = event.name
    told: dict[str, Any] = {}
    if name == "delta":
        choices = [orjson.loads(choice) for choice in event.data.split(b"\n")]
        texts = [c["delta"].get("content") or "" for c in choices if c["index"] == 0]
        told = {"text": "".join(texts)}
    elif name == "snapshot":
        told = {"text": orjson.loads(event.data)["text"]}
    elif name == "context":
        told = {"emotion": emotion(orjson.loads(event.data).get("emotion_state"))}
    elif name in ("failed", "expired"):
        told = {"error": failure(orjson.loads(event.data).get("error"))}
    elif name == "usage":
        return b""
    return frame(str(event.id), name, orjson.dumps(told))


def _with_retry(frames: Iterator[bytes]) -> Iterator[bytes]:
    yield RECONNECT
    yield from frames


def _conversation(front: Front, chat: Opened) -> dict[str, object]:
    turns = front.reads.run(lambda c: store.turns(c, chat.id))
    return {
        "object": "web_chat",
        "model": chat.model,
        "expires_at": int(chat.expires_s),
        "goes_on": bool(turns[0].request) and len(turns) <= TURNS_MAX,
        "messages": shown(turns),
    }


def _turn(front: Front, chat: Opened) -> Turn:
    text = request.args.get("turn", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(TURNS_MAX))):
        raise InvalidRequest("turn must be the number of a turn", param="turn")
    found = front.reads.run(lambda c: store.turns(c, chat.id, int(text)))
    if not found:
        raise NotFound("There is no such turn.", param="turn")
    return found[0]


def _from_here(front: Front, *, writes: bool = False) -> None:
    """Lets pass what a page of this site asks, as its browser tells (Fetch Metadata Request
    Headers, W3C, section 2; Fetch standard, section 3.2 on Origin). Raises Forbidden."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        fits = site == "same-origin"
    elif origin is not None:
        fits = origin in {_origin(request.host_url), _origin(front.settings.public_url)}
    else:
        fits = not writes
    if not fits:
        raise Forbidden("Only the page of this conversation may do that.", code="cross_site")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
