"""Redis as a child in the foreground."""

import signal
from dataclasses import dataclass
from pathlib import Path

from app.stack.account import make_private, postgres_account
from app.stack.binaries import redis_program
from app.stack.program import Program


@dataclass(frozen=True, slots=True)
class Redis:
    """An embedded server with its data in `home`/redis that answers on a socket and nowhere else.

    It keeps its data over a restart (append-only file, synced each second) and refuses writes
    rather than evict a key.
    """

    home: Path
    socket_dir: Path

    @property
    def data(self) -> Path:
        return self.home / "redis"

    def program(self) -> Program:
        """What to supervise."""
        wanted = {
            "port": "0",
            "unixsocket": str(self.socket_dir / "redis.sock"),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "loglevel": "warning",
        }
        options = [word for name, value in wanted.items() for word in (f"--{name}", value)]
        return Program(
            "redis",
            [str(redis_program("redis-server")), *options],
            {"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            log=self.home / "log" / "redis.log",
            stop=((signal.SIGTERM, 5.0),),
            prepare=self._make_folders,
        )

    def _make_folders(self) -> None:
        # At each start: a wiped data directory costs time, never the service.
        make_private(self.socket_dir, postgres_account())
        for folder in (self.data, self.home / "log"):
            folder.mkdir(parents=True, exist_ok=True)
