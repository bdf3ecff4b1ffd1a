"""Server-sent events: framing, and a response whose client may leave."""

import socket
from collections.abc import Iterator
from typing import Any

from flask import Response

TICK_S = 1.0
"""How often a silent stream looks whether its client is still there."""

PING_S = 10.0
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(event_id: str, name: str, data: bytes) -> bytes:
    """One event; `data` is one line of JSON."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)


def stream_response(frames: Iterator[bytes], headers: dict[str, str]) -> Response:
    """An SSE response of `frames`."""
    answer = Response(frames, mimetype="text/event-stream", direct_passthrough=True)
    for name, value in (*HEADERS.items(), *headers.items()):
        answer.headers[name] = value
    return answer


def client_gone(environ: dict[str, Any]) -> bool:
    """Whether the client has closed its connection, as far as its socket tells without waiting."""
    client = environ.get("gunicorn.sock")
    if client is None:
        return False
    # gevent's own recv would wait in spite of MSG_DONTWAIT.
    plain: socket.socket = getattr(client, "_sock", client)
    try:
        return plain.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
