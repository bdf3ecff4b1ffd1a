"""Connections to Postgres. Every one is autocommit: a transaction is one statement or explicit."""

from typing import Any

import psycopg

CONNECT_TIMEOUT_S = 3
"""Bounds how long a door waits for a Postgres that does not answer."""

LINE_OPTIONS = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off"
"""Plans on the job line. A generic plan made while the tables were empty reads them whole for ever
after; with sequential scans priced out, the generic plan uses the indexes from the first row on."""

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(url: str, name: str = "moonpool", *, options: str = "") -> Connection:
    """Connects; `name` is what `pg_stat_activity` shows. Raises psycopg.OperationalError."""
    guards = (
        "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"
    )
    return psycopg.connect(
        url,
        autocommit=True,
        application_name=name,
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        options=f"{guards} {options}".strip(),
    )


def line_connection(url: str, name: str) -> Connection:
    """A connection for the job line: its statements are prepared at once and planned once."""
    connection = connect(url, name, options=LINE_OPTIONS)
    connection.prepare_threshold = 0
    return connection
