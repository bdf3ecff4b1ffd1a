"""Answers kept for an Idempotency-Key, so that a request that is sent again is not done again.

A body is encrypted, since it may show a secret that is shown once. Its key is derived (HKDF, RFC
5869) from the credential that the request came with, so that what lies in Postgres opens to that
credential alone. A credential is a key of 256 random bits or a signed token: nothing to guess.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.db.connect import Connection
from app.errors import Conflict, KeyInFlight, KeyReused

KEPT_HOURS = 24
"""How long a key is honoured; rows go an hour later, so that no clock decides at the edge."""

IN_FLIGHT_RETRY_S = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where an Idempotency-Key counts: one tenant and one path."""

    tenant_id: str
    path: str
    key: str

    @property
    def text(self) -> bytes:
        """All three, unmistakably: none of them holds a zero byte."""
        return "\0".join((self.tenant_id, self.path, self.key)).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: status and JSON."""

    status: int
    body: bytes


def lock_place(connection: Connection, place: Place) -> None:
    """Keeps others out of a place until the caller's transaction ends. Raises KeyInFlight."""
    number = int.from_bytes(hashlib.sha256(place.text).digest()[:8], signed=True)
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (number,)).fetchone()
    if row is None or not row[0]:
        raise KeyInFlight(
            "The first request with this Idempotency-Key is still running.",
            param="Idempotency-Key",
            retry_after=IN_FLIGHT_RETRY_S,
        )


def stored_answer(
    connection: Connection, place: Place, body_hash: str, credential: str
) -> Answer | None:
    """The answer that is kept for a place, or None. Raises KeyReused if it answers another body,
    and Conflict if another credential of the tenant was answered."""
    row = connection.execute(
        "SELECT body_hash, status, body FROM idempotent_answer WHERE tenant_id = %s AND path = %s "
        "AND key = %s AND created_at > now() - %s * interval '1 hour'",
        (place.tenant_id, place.path, place.key, KEPT_HOURS),
    ).fetchone()
    if row is None:
        return None
    if row[0] != body_hash:
        raise KeyReused(
            "This Idempotency-Key came with another body before.", param="Idempotency-Key"
        )
    try:
        return Answer(row[1], _cipher(place, credential).decrypt(bytes(row[2])))
    except InvalidToken:
        raise Conflict(
            "This was done before, with another credential; only that one can read the answer.",
            param="Idempotency-Key",
        ) from None


def keep_answer(
    connection: Connection, place: Place, body_hash: str, credential: str, answer: Answer
) -> None:
    """Keeps an answer, in place of one that is no longer honoured."""
    sealed = _cipher(place, credential).encrypt(answer.body)
    connection.execute(
        "INSERT INTO idempotent_answer AS a (tenant_id, path, key, body_hash, status, body) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, path, key) DO UPDATE "
        "SET body_hash = excluded.body_hash, status = excluded.status, body = excluded.body, "
        "created_at = now() WHERE a.created_at <= now() - %s * interval '1 hour'",
        (place.tenant_id, place.path, place.key, body_hash, answer.status, sealed, KEPT_HOURS),
    )


def forget_answers(connection: Connection) -> int:
    """Deletes answers that are no longer honoured; returns how many. Call it every minute or so."""
    return connection.execute(
        "DELETE FROM idempotent_answer WHERE created_at < now() - %s * interval '1 hour'",
        (KEPT_HOURS + 1,),
    ).rowcount


def _cipher(place: Place, credential: str) -> Fernet:
    info = b"moonpool idempotent answer\0" + place.text
    key = HKDF(SHA256(), length=32, salt=None, info=info).derive(credential.encode())
    return Fernet(base64.urlsafe_b64encode(key))
