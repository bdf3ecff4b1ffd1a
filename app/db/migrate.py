"""Applies `migrations/*.sql` in order, each once, each in its own transaction."""

from importlib.resources import files

from psycopg import sql

from app.db.connect import Connection, connect

LOCK = 0x6D6F6F6E
"""Advisory lock so that two starts do not migrate at once; the bytes spell `moon`."""


def _scripts() -> dict[str, str]:
    folder = files("app.db") / "migrations"
    found = {f.name: f.read_text() for f in folder.iterdir() if f.name.endswith(".sql")}
    return dict(sorted(found.items()))


def _applied(connection: Connection) -> set[str]:
    row = connection.execute("SELECT to_regclass('migration')").fetchone()
    if row is None or row[0] is None:
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM migration")}


def pending(connection: Connection) -> list[str]:
    """Names of the migrations that this database lacks."""
    done = _applied(connection)
    return [name for name in _scripts() if name not in done]


def migrate(url: str) -> list[str]:
    """Brings the database at `url` up to date; returns the names applied.

    Raises psycopg.Error if a script fails; what came before it stays applied.
    """
    applied = []
    with connect(url, "migrate") as connection:
        connection.execute("SET lock_timeout = '30s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration ("
            "name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        scripts = _scripts()
        for name in pending(connection):
            with connection.transaction():
                connection.execute(sql.SQL(scripts[name]))
                connection.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
            applied.append(name)
    return applied
