"""Whether a port is free to listen on."""

import errno
import socket
from contextlib import closing

from app.stack.failure import Misuse

TRIES = 100


def port_problem(host: str, port: int) -> str | None:
    """Why `port` cannot be listened on, or None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        # As gunicorn does it: connections that are winding down do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
    return None


def require_port(host: str, port: int, setting: str) -> None:
    """Raises Misuse, which names the port and its setting, unless the port is free."""
    problem = port_problem(host, port)
    if problem is not None:
        raise Misuse(
            f"port {port} on {host}: {problem}. Stop what listens there, or choose another port: "
            f"{setting}={port + 10 if port <= 65525 else port - 10}"
        )


def free_port(host: str, first: int) -> int:
    """The first free port from `first` on. Raises Misuse if a hundred in a row are taken."""
    for port in range(first, min(first + TRIES, 65536)):
        if port_problem(host, port) is None:
            return port
    raise Misuse(f"no free port on {host} from {first} on; set MOONPOOL_FLOWER_PORT")
