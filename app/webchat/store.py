"""Web chats in Postgres. Tokens are found by their hash."""

from typing import Any, Literal, LiteralString

import orjson

from app.accounts import audit
from app.accounts.store import FoundKey
from app.db.connect import Connection
from app.webchat.model import LOST_S, Opened, Turn, WebChat

LISTED_DAYS = 30
"""How long an ended web chat is still listed."""

SWEEP = 100
Verdict = Literal["taken", "known", "busy", "over", "ended"]


def begin(
    connection: Connection, chat_id: str, tenant_id: str, key_id: str, job_id: str, digest: bytes,
    sealed: str, budget: int, ttl_s: float,
) -> tuple[str, int]:  # fmt: skip
    """Opens a web chat on a job's answer; (id, end in unix seconds). A second attempt of the job
    gives the chat a new token, after which the first opens nothing. Deletes the tenant's that have
    long ended."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM web_chat WHERE id IN (SELECT id FROM web_chat WHERE tenant_id = %s "
            "AND expires_at < now() - %s * interval '1 day' ORDER BY id LIMIT %s)",
            (tenant_id, LISTED_DAYS, SWEEP),
        )
        row = connection.execute(
            "INSERT INTO web_chat AS w "
            "(id, tenant_id, key_id, job_id, hash, sealed, budget, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, now() + %s * interval '1 s') "
            "ON CONFLICT (job_id) DO UPDATE SET hash = EXCLUDED.hash, sealed = EXCLUDED.sealed "
            "RETURNING w.id, floor(extract(epoch FROM w.expires_at))::bigint",
            (chat_id, tenant_id, key_id, job_id, digest, sealed, budget, ttl_s),
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def sealed_token(connection: Connection, chat_id: str, tenant_id: str) -> str | None:
    """A web chat's token as the vault sealed it, or None if it is not there."""
    row = connection.execute(
        "SELECT sealed FROM web_chat WHERE id = %s AND tenant_id = %s", (chat_id, tenant_id)
    ).fetchone()
    return row[0] if row else None


def find(connection: Connection, digest: bytes) -> Opened | None:
    """The live web chat of a token, or None: it has ended with its time, by its tenant, or with
    its key. The bearer of a JWT has no key here; its chats end with their time."""
    row = connection.execute(
        "SELECT w.id, w.tenant_id, w.job_id, j.app_id, j.model, w.budget, "
        "extract(epoch FROM w.expires_at - now())::float8, "
        "extract(epoch FROM w.expires_at)::float8, w.key_id, k.mode, k.scopes, k.app_id, "
        "k.requests_per_minute, k.tokens_per_day, k.sessions, t.tier, "
        "t.requests_per_minute, t.tokens_per_day, t.sessions "
        "FROM web_chat AS w JOIN job AS j ON j.id = w.job_id "
        "JOIN tenant AS t ON t.id = w.tenant_id "
        "LEFT JOIN api_key AS k ON k.id = w.key_id WHERE w.hash = %s AND w.revoked_at IS NULL "
        "AND w.expires_at > now() AND t.disabled_at IS NULL AND CASE WHEN k.id IS NULL "
        "THEN w.key_id LIKE 'jwt\\_%%' ELSE k.revoked_at IS NULL "
        "AND (k.expires_at IS NULL OR k.expires_at > now()) END",
        (digest,),
    ).fetchone()
    if row is None:
        return None
    key_id, mode, scopes, app_id, rpm, tokens, sessions, tier, *caps = row[8:]
    key = FoundKey(
        key_id, row[1], mode or "live", scopes or ["inference"], app_id, (rpm, tokens, sessions),
        tier, (caps[0], caps[1], caps[2]), None,
    )  # fmt: skip
    told: tuple[Any, ...] = (*row[:8], key)
    return Opened(*told)


# A path of `#>>` would count -1 from the end of whichever array comes first in the request.
_TURNS: LiteralString = """
    SELECT a.ordinal, a.job_id, extract(epoch FROM now() - a.created_at)::float8,
           CASE WHEN j.id IS NOT NULL THEN coalesce(r.state, o.state, 'queued') END,
           j.forgotten_at IS NOT NULL, CASE WHEN a.ordinal = 0 THEN j.request END,
           CASE WHEN a.ordinal > 0 AND j.forgotten_at IS NULL
                THEN j.request::json -> 'messages' -> -1 ->> 'content' END, r.body, r.error
    FROM (SELECT 0 AS ordinal, job_id, created_at FROM web_chat WHERE id = %(chat)s
          UNION ALL SELECT ordinal, job_id, created_at FROM web_chat_turn
          WHERE web_chat_id = %(chat)s) AS a
    LEFT JOIN job AS j ON j.id = a.job_id LEFT JOIN open_job AS o ON o.id = a.job_id
    LEFT JOIN result AS r ON r.id = a.job_id
    WHERE %(number)s::int IS NULL OR a.ordinal = %(number)s ORDER BY a.ordinal
"""


def turns(connection: Connection, chat_id: str, number: int | None = None) -> list[Turn]:
    """The turns of a web chat in their order, the first answer before them; or one of them."""
    rows = connection.execute(_TURNS, {"chat": chat_id, "number": number})
    told: list[tuple[Any, ...]] = [(*row[:7], _read(row[7]), _read(row[8])) for row in rows]
    return [Turn(*one) for one in told]


def _read(text: str | None) -> object:
    return orjson.loads(text) if text else None


def take_turn(
    connection: Connection, chat_id: str, number: int, job_id: str, key: str, hold: int
) -> tuple[Verdict, int]:
    """Takes turn `number` for a job that may cost `hold`; the verdict and the turn's number. It may
    be taken anew for the same job, which was lost before its admission.

    known: a turn came with this key before, and its job may be there; busy: another has been taken,
    or its answer is still to come; over: what was spent and the hold are more than the budget;
    ended: nobody may go on.
    Only one turn is ever open, so what is spent stands still meanwhile and the bound is exact.
    """
    with connection.transaction():
        chat = connection.execute(
            "SELECT budget, job_id FROM web_chat WHERE id = %s AND revoked_at IS NULL "
            "AND expires_at > now() FOR UPDATE",
            (chat_id,),
        ).fetchone()
        if chat is None:
            return "ended", 0
        same = connection.execute(
            "SELECT t.ordinal, t.job_id = %s AND j.id IS NULL FROM web_chat_turn AS t "
            "LEFT JOIN job AS j ON j.id = t.job_id WHERE t.web_chat_id = %s AND t.key = %s",
            (job_id, chat_id, key),
        ).fetchone()
        if same is not None and not same[1]:
            return "known", same[0]
        last, spent = _standing(connection, chat_id)
        if same is not None and last != number:
            return "busy", last
        if same is None and (last != number - 1 or _is_open(connection, chat_id, chat[1])):
            return "busy", last
        if spent + hold > chat[0]:
            return "over", last
        connection.execute(
            "INSERT INTO web_chat_turn AS t (web_chat_id, ordinal, job_id, key) "
            "VALUES (%s, %s, %s, %s) ON CONFLICT (web_chat_id, ordinal) "
            "DO UPDATE SET created_at = now()",
            (chat_id, number, job_id, key),
        )
        return "taken", number


def known_turn(connection: Connection, chat_id: str, key: str) -> int | None:
    """The number of the turn that came with this key, or None."""
    row = connection.execute(
        "SELECT ordinal FROM web_chat_turn WHERE web_chat_id = %s AND key = %s", (chat_id, key)
    ).fetchone()
    return row[0] if row else None


def spent(connection: Connection, chat_id: str) -> int:
    """What all turns of a web chat have cost, in nano-dollars."""
    return _standing(connection, chat_id)[1]


def _standing(connection: Connection, chat_id: str) -> tuple[int, int]:
    """The last turn's number, and what all have cost."""
    row = connection.execute(
        "SELECT coalesce(max(t.ordinal), 0), coalesce(sum(r.cost), 0)::bigint "
        "FROM web_chat_turn AS t LEFT JOIN result AS r ON r.id = t.job_id "
        "WHERE t.web_chat_id = %s",
        (chat_id,),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _is_open(connection: Connection, chat_id: str, first: str) -> bool:
    """Whether an answer is still to come; a job may be on its way to its admission."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM open_job WHERE id = %(first)s) OR EXISTS ("
        "SELECT 1 FROM web_chat_turn AS t LEFT JOIN job AS j ON j.id = t.job_id "
        "LEFT JOIN result AS r ON r.id = t.job_id WHERE t.web_chat_id = %(chat)s AND r.id IS NULL "
        "AND (j.id IS NOT NULL OR t.created_at > now() - %(lost)s * interval '1 s'))",
        {"first": first, "chat": chat_id, "lost": LOST_S},
    ).fetchone()
    return bool(row and row[0])


def give_turn_back(connection: Connection, chat_id: str, job_id: str) -> None:
    """Undoes `take_turn` for a job that was not admitted, nor by another request meanwhile."""
    connection.execute(
        "DELETE FROM web_chat_turn AS t WHERE web_chat_id = %s AND job_id = %s "
        "AND NOT EXISTS (SELECT FROM job AS j WHERE j.id = t.job_id)",
        (chat_id, job_id),
    )


def list_chats(
    connection: Connection, tenant_id: str, before: str | None, limit: int
) -> list[WebChat]:
    """A tenant's web chats, newest first, those before the id `before`. One whose answer failed is
    left out: its address was told to nobody."""
    rows = connection.execute(
        "SELECT w.id, w.tenant_id, w.key_id, w.job_id, w.budget, coalesce(sum(r.cost), 0)::bigint, "
        "count(t.ordinal), w.created_at, w.expires_at, w.revoked_at FROM web_chat AS w "
        "LEFT JOIN web_chat_turn AS t ON t.web_chat_id = w.id "
        "LEFT JOIN result AS r ON r.id = t.job_id "
        "WHERE w.tenant_id = %s AND w.id < %s AND NOT EXISTS (SELECT FROM result AS f "
        "WHERE f.id = w.job_id AND f.state IN ('failed', 'expired')) "
        "GROUP BY w.id ORDER BY w.id DESC LIMIT %s",
        (tenant_id, before or "wch_~", limit),
    )
    return [WebChat(*row) for row in rows]


def revoke(connection: Connection, tenant_id: str, chat_id: str, *, actor: str) -> bool:
    """Ends a web chat for good; False if the tenant has none by this id. Ending it twice does no
    harm."""
    with connection.transaction():
        row = connection.execute(
            "UPDATE web_chat SET revoked_at = coalesce(revoked_at, now()) "
            "WHERE id = %s AND tenant_id = %s RETURNING revoked_at = now()",
            (chat_id, tenant_id),
        ).fetchone()
        if row is not None and row[0]:
            audit.record(connection, actor, "web_chat.revoke", chat_id, tenant_id)
    return row is not None
