"""What a measurement was made on."""

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from app.stack.binaries import postgres_program, redis_program

PACKAGES = ("gevent", "gunicorn", "celery", "psycopg", "uvloop")
MEASURED = ("app", "workers", "tasks", "deploy", "bench", "Procfile", "requirements.lock")
"""Where a change since the commit can change a figure."""

ROOT = Path(__file__).resolve().parents[1]


def machine() -> str:
    """The machine and the versions, in one paragraph."""
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    kernel = ".".join(platform.release().split(".")[:2])
    parts = [
        f"{psutil.cpu_count()} cores ({_processor()})",
        f"{memory_gib:.0f} GiB",
        f"{platform.system()} {kernel}",
        f"Python {platform.python_version()}",
        _said(postgres_program("postgres")),
        _said(redis_program("redis-server")),
        *(f"{package} {version(package)}" for package in PACKAGES),
    ]
    return ", ".join(parts) + "."


def moment() -> str:
    """When, at which commit, and how busy the machine was with other things: to be asked before
    anything is started."""
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{when}, commit {_commit()}, load average before the start {os.getloadavg()[0]:.2f}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _said(program: Path) -> str:
    """Name and version out of `postgres (PostgreSQL) 18.4` or `Redis server v=6.2.14 sha=…`."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    words = said.stdout.split()
    name = "Redis" if words[0] == "Redis" else "Postgres"
    return f"{name} {words[2].removeprefix('v=')}"


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", *MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(*arguments: str) -> str:
    argv = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
