"""POSTs that make no job: read once, done once, answered again for the same Idempotency-Key.

Every such view calls `posted`, `posted_whole` or `answered` itself; `tests/test_wiring.py` looks
for it.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from flask import Response, g, request

from app.accounts.answers import Answer, Place, keep_answer, lock_place, stored_answer
from app.db.connect import Connection
from app.web.auth import caller, credential
from app.web.body import Schema, body_hash, idempotency_key, parsed, read_body
from app.web.front import Front

Result = TypeVar("Result")


def read_json(front: Front, schema: type[Schema]) -> Schema:
    """The request's body; none counts as `{}`. Raises InvalidRequest, and what `read_body` does."""
    return parsed(schema, _body(front) or b"{}")


def posted(front: Front, work: Callable[[Connection], tuple[int, dict[str, Any]]]) -> Response:
    """Does `work` and answers with the status and body that it returns.

    One transaction holds the work and the answer that is kept for the Idempotency-Key; an error
    undoes both. Raises KeyInFlight, KeyReused, Conflict and what `work` raises.
    """
    place = _place()
    if place is None:
        return _response(_made(changed(front, work)))
    said, secret = _body_hash(front), credential()

    def once(connection: Connection) -> tuple[Answer, bool]:
        lock_place(connection, place)
        stored = stored_answer(connection, place, said, secret)
        if stored is not None:
            return stored, True
        answer = _made(work(connection))
        keep_answer(connection, place, said, secret, answer)
        return answer, False

    return _response(*changed(front, once))


def answered(front: Front, work: Callable[[], tuple[int, dict[str, Any]]]) -> Response:
    """As `posted`, for work that waits and so must not hold a transaction. Requests that come at
    once are all worked on: only for work that may be done twice."""
    place = _place()
    if place is None:
        return _response(_made(work()))
    said, secret = _body_hash(front), credential()
    stored = changed(front, lambda c: stored_answer(c, place, said, secret))
    if stored is not None:
        return _response(stored, True)
    answer = _made(work())
    changed(front, lambda c: keep_answer(c, place, said, secret, answer))
    return _response(answer)


Keep = Callable[[Connection, bytes, tuple[int, dict[str, Any]]], None]
"""Takes what stands for the body, and the answer, in the transaction that does the work."""


class _Repeated(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


def posted_whole(work: Callable[[Keep], tuple[int, dict[str, Any]]]) -> Response:
    """As `posted`, for work that reads the body itself and knows at its end what it was: `work`
    calls `keep` in the transaction that makes what it did stand, and lets pass what `keep` raises,
    which undoes it."""
    place, secret = _place(), credential()

    def keep(connection: Connection, body: bytes, result: tuple[int, dict[str, Any]]) -> None:
        if place is None:
            return
        said = hashlib.sha256(body).hexdigest()
        lock_place(connection, place)
        stored = stored_answer(connection, place, said, secret)
        if stored is not None:
            raise _Repeated(stored)
        keep_answer(connection, place, said, secret, _made(result))

    try:
        return _response(_made(work(keep)))
    except _Repeated as repeated:
        return _response(repeated.answer, True)


def changed(front: Front, work: Callable[[Connection], Result]) -> Result:
    """What `work` returns, done in one transaction. Raises what it raises, and Unavailable."""
    return front.reads.change(work)


def _place() -> Place | None:
    key = idempotency_key()
    if key is None:
        return None
    path = request.path.removeprefix("/v1").rstrip("/").replace("\0", "")
    return Place(caller().tenant_id, path, key)


def _body(front: Front) -> bytes:
    if "body" not in g:
        g.body = read_body(front)
    body: bytes = g.body
    return body


def _body_hash(front: Front) -> str:
    return body_hash(_body(front))


def _made(result: tuple[int, dict[str, Any]]) -> Answer:
    return Answer(result[0], orjson.dumps(result[1]))


def _response(answer: Answer, replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(answer.body, answer.status, headers, mimetype="application/json")
