"""A turn of a web chat: from what the visitor wrote to an admitted job."""

import hashlib
from typing import Any, NoReturn

import orjson
from flask import request

from app.catalogue.model import Model
from app.errors import Conflict, Gone, KeyReused, NoCredit, NotFound, OverBudget
from app.jobs.model import Draft
from app.web.asked import Asked, most_cost, prompt_size
from app.web.auth import caller
from app.web.body import parsed
from app.web.chat import chat_asked, context_bytes, unless_unknown
from app.web.choosing import models_for
from app.web.front import Front
from app.web.inference import Wish, draft_of
from app.web.limits import admit
from app.web.schemas.chat import ChatRequest
from app.webchat import store
from app.webchat.conversation import next_request
from app.webchat.model import TURNS_MAX, Opened, Turn

WISH = Wish("background", "interactive", None)
"""A visitor waits for it, but over the job's events: an answer that is cut begins anew there."""

LEAST_TOKENS = 256
"""With room for fewer the budget counts as used up: an answer of a few words helps nobody."""

BOUND_BYTES = 40
"""More than a field that bounds the answer adds to a request."""

PATH = "/chat"
"""Turns are admitted once by an Idempotency-Key of their own, at a path where no client has any."""

REFUSALS = {
    "busy": "An answer is still on its way. Wait for it, or stop it.",
    "over": "The budget of this conversation is used up.",
    "ended": "This conversation has ended.",
}


def start_turn(front: Front, chat: Opened, said: str, key: str) -> int:
    """Starts the turn that answers `said`; its number. A turn that came with `key` before is that
    turn; if its job was never admitted, it is now. Raises Conflict while another is open, Gone
    where the beginning, a lune or the model has been deleted, KeyReused, OverBudget and NoCredit,
    and what `admit` raises."""
    known = front.reads.run(lambda c: store.known_turn(c, chat.id, key))
    turns = front.reads.run(lambda c: store.turns(c, chat.id))
    lost = next((turn for turn in turns if turn.number == known), None)
    if lost is not None and lost.state is not None:
        _unless_other(lost, said)
        return lost.number
    if lost is not None:
        turns = turns[: turns.index(lost)]
    if turns[0].deleted or not turns[0].request:
        raise Gone("What this conversation began with has been deleted, so it cannot go on.")
    if len(turns) > TURNS_MAX:
        raise Conflict("This conversation has become too long to go on.", code="too_long")
    draft = _draft(front, chat, next_request(turns, said))
    number = turns[-1].number + 1 if lost is None else lost.number
    _once(draft, said, None if lost is None else lost.job_id)
    verdict, taken = front.reads.run(
        lambda c: store.take_turn(c, chat.id, number, draft.id, key, draft.hold)
    )
    if verdict == "taken":
        _admit(front, chat, draft, lost is None)
    elif verdict != "known":
        _refuse(verdict)
    return taken


def _unless_other(turn: Turn, said: str) -> None:
    """Raises KeyReused if the turn answers something else, as far as that is still known."""
    if turn.said is not None and turn.said != said:
        raise KeyReused(
            "This Idempotency-Key came with another message before; use a new key.",
            param="Idempotency-Key",
        )


def _draft(front: Front, chat: Opened, asked: dict[str, Any]) -> Draft:
    understood, models = _understood(front, asked)
    left = chat.budget - front.reads.run(lambda c: store.spent(c, chat.id))
    if caller().mode != "test" and max(most_cost(one, understood) for one in models) > left:
        bound = "max_completion_tokens" if asked.get("max_completion_tokens") else "max_tokens"
        understood, models = _understood(front, {**asked, bound: _room(models, understood, left)})
    draft = draft_of(front, understood, models, WISH, request.environ)
    # The request's headers are the visitor's, who names no app of the tenant's.
    draft.app_id = chat.app_id
    draft.holds_session = caller().counts_sessions
    return draft


def _understood(front: Front, asked: dict[str, Any]) -> tuple[Asked, list[Model]]:
    """What a turn asks of the line, and the models that may answer. Raises Gone for a lune or a
    model that is not there any more: to the page a 404 is a link that has ended, and their names
    are the tenant's."""
    body = orjson.dumps(asked)
    wanted = parsed(ChatRequest, body)
    understood = chat_asked(wanted, body)
    understood.context_bytes = context_bytes(wanted, front.settings)
    try:
        unless_unknown(front, wanted)
        return understood, models_for(front, understood)
    except NotFound:
        raise Gone(
            "What this conversation draws on has been taken away, so it cannot go on."
        ) from None


def _room(models: list[Model], understood: Asked, left: int) -> int:
    """How many tokens an answer may have that is paid out of `left`, whichever of the models gives
    it. Raises OverBudget if that is too little for one."""
    given, choices = prompt_size(understood) + BOUND_BYTES, understood.choices
    rooms = [model.tokens_within(left, given, choices) for model in models]
    room = min((tokens for tokens in rooms if tokens is not None), default=0)
    if room < LEAST_TOKENS:
        _refuse("over")
    return min(room, *(model.spec.max_output for model in models))


def _once(draft: Draft, said: str, lost: str | None) -> None:
    """Has a turn's job admitted once, however often that is tried. `lost`: the id of the turn's job
    where it was tried before."""
    draft.id = lost or draft.id
    draft.path, draft.idempotency_key = PATH, draft.id
    draft.body_hash = hashlib.sha256(said.encode()).hexdigest()


def _admit(front: Front, chat: Opened, draft: Draft, first: bool) -> None:
    """`first`: it was not tried before."""
    try:
        admit(front, draft)
    except Exception as error:
        # One that may be there keeps its turn: the bound of what is spent counts it.
        if first and not getattr(error, "in_doubt", False):
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
