"""Connections to Postgres. Every one is autocommit: a transaction is one statement or explicit."""

import select
from typing import Any

import psycopg
from gevent.monkey import get_original

CONNECT_TIMEOUT_S = 3
"""Bounds how long a door waits for a Postgres that does not answer."""

LINE_OPTIONS = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off"
"""Plans on the job line. A generic plan made while the tables were empty reads them whole for ever
after; with sequential scans priced out, the generic plan uses the indexes from the first row on."""

Connection = psycopg.Connection[tuple[Any, ...]]

_poll = get_original("select", "poll")
"""gevent's own goes through its loop, which a look that never waits does not need."""


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


def is_lost(connection: Connection) -> bool:
    """Whether a connection that is idle has ended: whoever asks nothing is sent nothing but the
    end. It costs one system call, and spares a request from being lost with a Postgres that has
    started again since the request before it."""
    if connection.closed:
        return True
    look = _poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))
