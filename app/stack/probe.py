"""Whether Postgres and Redis answer."""

import re
import subprocess
from urllib.parse import urlsplit, urlunsplit

from app.redis import RedisGone, ReplyError, Wire
from app.stack.binaries import postgres_program

SECONDS = 2.0
_PASSWORD = re.compile(r"(?<![a-z])password\s*=\s*('(?:[^'\\]|\\.)*'|[^&\s]*)[&\s]?")


def without_password(url: str) -> str:
    """An address that may be shown: no password in its user part, its query or its keywords."""
    url = _PASSWORD.sub("", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{place}"))


def postgres_answers(url: str) -> bool:
    """Whether a Postgres takes connections there; who may connect is not asked."""
    asked = [str(postgres_program("pg_isready")), "-q", "-t", "2", "-d", without_password(url)]
    try:
        return subprocess.run(asked, timeout=SECONDS * 2, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def redis_version(url: str) -> str | None:
    """The version of the Redis there, or None if it does not answer or is still loading."""
    try:
        wire = Wire(url, timeout_s=SECONDS)
        try:
            _, info = wire.call(("PING",), ("INFO", "server"))
        finally:
            wire.close()
    except (RedisGone, ReplyError, ValueError):
        return None
    lines = dict(line.partition(":")[::2] for line in bytes(info).decode().splitlines())
    return lines.get("redis_version", "?")
