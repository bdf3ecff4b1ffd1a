"""The worker's tests stand on the job line's."""

from tests.app.conftest import (
    books,
    connection,
    fenced,
    gevent_sockets,
    hub,
    line_database,
    line_settings,
    make_hub,
    make_publisher,
    own_redis,
    publisher,
    wire,
)

__all__ = [
    "books",
    "connection",
    "fenced",
    "gevent_sockets",
    "hub",
    "line_database",
    "line_settings",
    "make_hub",
    "make_publisher",
    "own_redis",
    "publisher",
    "wire",
]
