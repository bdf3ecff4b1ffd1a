"""Deleting what lines ask that wait.

Such a line becomes a job that is cancelled and forgotten at once: so its batch counts it as any
other, gives back its hold, and runs it never. Lines of batches that end already are blanked.
"""

from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import LiteralString

from app.batches.flight.store import GROUP, call_off
from app.db.connect import Connection
from app.jobs.store import forget


@dataclass(frozen=True, slots=True)
class WaitingLines:
    """The lines of a tenant's batches that were made before `before` (unix seconds), of an app, a
    user or a session where these are given."""

    tenant: str
    before: float
    app: str | None = None
    user: str | None = None
    session: str | None = None

    @property
    def whole(self) -> bool:
        """Whether all lines of each batch are meant."""
        return self.user is None and self.session is None


_BATCHES: LiteralString = (
    "b.tenant_id = %(tenant)s AND b.created_at < to_timestamp(%(before)s) AND b.ended_at IS NULL "
    "AND (%(app)s::text IS NULL OR b.app_id = %(app)s) "
)
_LINES: LiteralString = (
    "l.batch_id = b.id AND " + _BATCHES
    + "AND (%(session)s::text IS NULL OR l.session = %(session)s) "
    # JSON in Postgres refuses zero bytes.
    "AND (%(user)s::text IS NULL OR CASE WHEN l.request <> '' THEN "
    "replace(l.request, '\\u0000', '\\u0020')::json ->> 'user' END = %(user)s) "
)  # fmt: skip
_WAITING: LiteralString = (
    "SELECT l.batch_id, l.line FROM batch AS b JOIN batch_line AS l ON " + _LINES  # noqa: S608
    + "WHERE b.status = 'in_progress' AND b.ends_as IS NULL "
    "AND (l.batch_id, l.line) > (%(batch)s, %(line)s) ORDER BY l.batch_id, l.line LIMIT %(limit)s"
)  # fmt: skip
_BLANK: LiteralString = (
    "UPDATE batch_line AS l SET request = '', metadata = NULL, session = NULL FROM batch AS b "  # noqa: S608
    "WHERE b.ends_as IS NOT NULL AND " + _LINES
)
_CANCEL: LiteralString = (
    "UPDATE batch AS b SET status = 'cancelling', cancelling_at = now(), ends_as = 'cancelled' "  # noqa: S608
    "WHERE b.status = 'validating' AND b.ends_as IS NULL AND " + _BATCHES
)


def forget_waiting(connection: Connection, which: WaitingLines, by: str) -> int:
    """Deletes what these lines ask; how many will not run for it. `by`: the deletion job that does
    so. Batches whose lines are still read are cancelled where all their lines are meant."""
    told, count = asdict(which), 0
    if which.whole:
        connection.execute(_CANCEL, told)
    batch_id, line = "", 0
    while True:
        place = {"batch": batch_id, "line": line, "limit": GROUP}
        rows = connection.execute(_WAITING, {**told, **place}).fetchall()
        for batch_id, found in groupby(rows, itemgetter(0)):
            lines = [row[1] for row in found]
            line = lines[-1]
            with connection.transaction():
                made = call_off(connection, batch_id, lines, "deletion")
                count += len(forget(connection, made, by))
        if len(rows) < GROUP:
            break
    connection.execute(_BLANK, told)
    return count
