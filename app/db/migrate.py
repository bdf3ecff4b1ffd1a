"""Applies `migrations/*.sql` in order, each once, then `functions/*.sql`, each anew when its text
has changed. Every script is a transaction of its own."""

import hashlib
from importlib.resources import files

from psycopg import sql

from app.db.connect import Connection, connect

LOCK = 0x6D6F6F6E
"""Advisory lock so that two starts do not migrate at once; the bytes spell `moon`."""


def _scripts() -> dict[str, str]:
    """All scripts by name; a functions script has the digest of its text behind its name."""
    found = dict(sorted(_texts("migrations").items()))
    for name, text in sorted(_texts("functions").items()):
        found[f"{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}"] = text
    return found


def _texts(folder: str) -> dict[str, str]:
    place = files("app.db") / folder
    return {f.name: f.read_text() for f in place.iterdir() if f.name.endswith(".sql")}


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
                base, _, digest = name.partition(" ")
                if digest:
                    connection.execute("DELETE FROM migration WHERE starts_with(name, %s)", (base,))
                connection.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
            applied.append(name)
    return applied
