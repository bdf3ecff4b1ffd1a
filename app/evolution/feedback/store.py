"""The feedback table, and what feedback needs to know of the job that it is of."""

from collections.abc import Mapping
from typing import Any, LiteralString

import orjson

from app.db.connect import Connection
from app.evolution.model import Feedback, Move, NewFeedback, RatedJob

_FEEDBACK: LiteralString = """
    SELECT f.id, f.job_id, f.key_id, f.kind, f.model, f.provider, f.rating, f.traits, f.reason,
           f.correction, f.weighed, f.created_at, f.replaced_by,
           (SELECT json_agg(json_build_array(c.id, c.trait, c.baseline + c.before,
                                             c.baseline + c.after) ORDER BY c.seq)::text
            FROM trait_change AS c WHERE c.feedback_id = f.id AND c.kind = 'feedback')
    FROM feedback AS f WHERE f.tenant_id = %(tenant)s
"""


def rated_job(connection: Connection, tenant_id: str, job_id: str) -> RatedJob | None:
    """A tenant's job, or None if it is not there or another's; its content is not deleted before
    the transaction ends. Only conversations are looked into for what they asked for and used."""
    row = connection.execute(
        "SELECT j.id, j.kind, j.model, r.provider, r.id IS NOT NULL, j.forgotten_at IS NOT NULL, "
        "CASE WHEN spoken THEN j.request END, CASE WHEN spoken THEN r.body END "
        "FROM job AS j LEFT JOIN result AS r ON r.id = j.id, LATERAL (SELECT j.kind IN "
        "('chat.completion', 'text_completion', 'response', 'message') AS spoken) AS s "
        "WHERE j.id = %s AND j.tenant_id = %s FOR SHARE OF j",
        (job_id, tenant_id),
    ).fetchone()
    if row is None:
        return None
    fields = [*row[:6], _asked(row[6]), _used(row[7])]
    return RatedJob(*fields)


def _asked(request: str | None) -> dict[str, float]:
    """The personality traits of a request, which may stand under `extra_body` as in the seed."""
    asked = orjson.loads(request) if request else {}
    extra = asked.get("extra_body")
    traits = asked.get("personality_traits")
    if traits is None and isinstance(extra, dict):
        traits = extra.get("personality_traits")
    known = traits if isinstance(traits, dict) else {}
    return {
        name: float(value)
        for name, value in known.items()
        if isinstance(value, int | float) and 0 <= value <= 1
    }


def _used(body: str | None) -> tuple[str, ...]:
    """The ids of the memories that an answer says it was given."""
    answer = orjson.loads(body) if body else {}
    memory = answer.get("memory")
    used = memory.get("used") if isinstance(memory, dict) else None
    found = used if isinstance(used, list) else []
    ids = [one.get("id") for one in found if isinstance(one, dict)]
    return tuple(dict.fromkeys(name for name in ids if isinstance(name, str)))


def standing_feedback(connection: Connection, tenant_id: str, job_id: str) -> Feedback | None:
    """The feedback that stands for a job, if there is one."""
    row = connection.execute(
        _FEEDBACK + "AND f.job_id = %(job)s AND f.replaced_by IS NULL",
        {"tenant": tenant_id, "job": job_id},
    ).fetchone()
    return _read(row) if row else None


def list_feedback(
    connection: Connection, tenant_id: str, before: str | None, job_id: str | None, limit: int
) -> list[Feedback]:
    """A tenant's feedback, newest first, that before the id `before`; of one job, or of all."""
    rows = connection.execute(
        _FEEDBACK + "AND f.id < %(before)s AND (%(job)s::text IS NULL OR f.job_id = %(job)s) "
        "ORDER BY f.id DESC LIMIT %(limit)s",
        {"tenant": tenant_id, "before": before or "fbk_~", "job": job_id, "limit": limit},
    )
    return [_read(row) for row in rows]


def get_feedback(connection: Connection, tenant_id: str, feedback_id: str) -> Feedback | None:
    """A tenant's feedback, or None."""
    row = connection.execute(
        _FEEDBACK + "AND f.id = %(id)s", {"tenant": tenant_id, "id": feedback_id}
    ).fetchone()
    return _read(row) if row else None


def replace_feedback(connection: Connection, old_id: str, new_id: str) -> None:
    """Marks feedback as replaced by a later one, before that is inserted."""
    connection.execute("UPDATE feedback SET replaced_by = %s WHERE id = %s", (new_id, old_id))


def insert_feedback(
    connection: Connection, feedback_id: str, tenant_id: str, key_id: str, job: RatedJob,
    new: NewFeedback,
) -> None:  # fmt: skip
    """Keeps feedback. What it says of a job whose content was deleted is not kept."""
    reason, correction = (None, None) if job.forgotten else (new.reason, new.correction)
    connection.execute(
        "INSERT INTO feedback (id, tenant_id, job_id, key_id, kind, model, provider, rating, "
        "traits, reason, correction) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (feedback_id, tenant_id, job.id, key_id, job.kind, job.model, job.provider, new.rating,
         _json(new.traits), reason, correction),
    )  # fmt: skip


def note_weighed(connection: Connection, feedback_id: str, weighed: Mapping[str, float]) -> None:
    """Keeps how far feedback moved the importance of memories."""
    connection.execute(
        "UPDATE feedback SET weighed = %s WHERE id = %s", (_json(weighed), feedback_id)
    )


def _json(value: Mapping[str, Any]) -> str | None:
    return orjson.dumps(dict(value)).decode() if value else None


def _read(row: tuple[Any, ...]) -> Feedback:
    fields = list(row)
    for at in (7, 10):
        fields[at] = orjson.loads(row[at]) if row[at] else {}
    fields[13] = tuple(Move(*move) for move in orjson.loads(row[13] or "[]"))
    return Feedback(*fields)
