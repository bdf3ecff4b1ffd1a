"""What a database says of itself: for `moonpool doctor` and `moonpool status`."""

from dataclasses import dataclass

from app.db.connect import Connection


@dataclass(frozen=True, slots=True)
class Facts:
    """The server's version, and the version of pgvector that it offers, if any."""

    version: str
    pgvector: str | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process; `lease_s` are the seconds until its lease ends, negative once it has."""

    id: str
    lane: str
    pid: int
    lease_s: float


def facts(connection: Connection) -> Facts:
    """The facts of the server behind a connection."""
    row = connection.execute(
        "SELECT current_setting('server_version'), "
        "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')"
    ).fetchone()
    assert row is not None
    return Facts(row[0], row[1])


def workers(connection: Connection) -> list[WorkerRow]:
    """The workers that are known, by lane."""
    rows = connection.execute(
        "SELECT id, lane, pid, extract(epoch FROM lease_until - now())::float8 "
        "FROM worker ORDER BY lane, id"
    )
    return [WorkerRow(*row) for row in rows]
