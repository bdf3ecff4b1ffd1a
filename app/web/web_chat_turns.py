"""A turn of a web chat: from what the visitor wrote to an admitted job."""

from typing import Any, NoReturn

import orjson
from flask import request

from app.errors import Conflict, Gone, KeyReused, NoCredit, NotFound, OverBudget
from app.jobs.model import Draft
from app.web.auth import caller
from app.web.body import parsed
from app.web.chat import chat_asked, context_bytes, unless_unknown
from app.web.front import Front
from app.web.inference import Wish, draft_of, models_for
from app.web.limits import admit
from app.web.schemas.chat import ChatRequest
from app.webchat import store
from app.webchat.conversation import next_request
from app.webchat.model import TURNS_MAX, Opened

WISH = Wish("background", "interactive", None)
"""A visitor waits for it, but over the job's events: an answer that is cut begins anew there."""

REFUSALS = {
    "busy": "An answer is still on its way. Wait for it, or stop it.",
    "over": "The budget of this conversation is used up.",
    "ended": "This conversation has ended.",
}


def start_turn(front: Front, chat: Opened, said: str, key: str) -> int:
    """Starts the turn that answers `said`; its number. A turn that came with `key` before is that
    turn. Raises Conflict while another is open, Gone where the beginning has been deleted,
    KeyReused, OverBudget and NoCredit, and what `admit` raises."""
    known = front.reads.run(lambda c: store.known_turn(c, chat.id, key))
    if known is not None:
        _unless_other(front, chat, known, said)
        return known
    turns = front.reads.run(lambda c: store.turns(c, chat.id))
    if turns[0].deleted or not turns[0].request:
        raise Gone("What this conversation began with has been deleted, so it cannot go on.")
    if len(turns) > TURNS_MAX:
        raise Conflict("This conversation has become too long to go on.", code="too_long")
    draft = _draft(front, chat, next_request(turns, said))
    number = turns[-1].number + 1
    verdict, taken = front.reads.run(
        lambda c: store.take_turn(c, chat.id, number, draft.id, key, draft.hold)
    )
    if verdict == "taken":
        _admit(front, chat, draft)
    elif verdict != "known":
        _refuse(verdict)
    return taken


def _unless_other(front: Front, chat: Opened, number: int, said: str) -> None:
    """Raises KeyReused if the turn answers something else, as far as that is still known."""
    [turn] = front.reads.run(lambda c: store.turns(c, chat.id, number))
    if turn.said is not None and turn.said != said:
        raise KeyReused(
            "This Idempotency-Key came with another message before; use a new key.",
            param="Idempotency-Key",
        )


def _draft(front: Front, chat: Opened, asked: dict[str, Any]) -> Draft:
    body = orjson.dumps(asked)
    wanted = parsed(ChatRequest, body)
    understood = chat_asked(wanted, body)
    understood.context_bytes = context_bytes(wanted, front.settings)
    unless_unknown(front, wanted)
    draft = draft_of(front, understood, models_for(front, understood), WISH, request.environ)
    # The request's headers are the visitor's, who names neither app nor key of the tenant's.
    draft.app_id = chat.app_id
    draft.idempotency_key = draft.body_hash = None
    draft.holds_session = caller().counts_sessions
    return draft


def _admit(front: Front, chat: Opened, draft: Draft) -> None:
    try:
        admit(front, draft)
    except Exception as error:
        # One that may be there keeps its turn: the bound of what is spent counts it.
        if not getattr(error, "in_doubt", False):
            front.reads.run(lambda c: store.give_turn_back(c, chat.id, draft.id))
        if isinstance(error, NoCredit):
            raise NoCredit("Whoever offers this conversation has no credit left.") from None
        raise


def _refuse(verdict: str) -> NoReturn:
    text = REFUSALS[verdict]
    if verdict == "over":
        raise OverBudget(text)
    if verdict == "ended":
        raise NotFound(text)
    raise Conflict(text, code="turn_open")
