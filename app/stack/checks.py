"""What is wrong with a set-up, and how to mend it: the findings of `moonpool doctor`."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from app.catalogue.load import CatalogueError, catalogue
from app.db.connect import connect
from app.db.migrate import pending
from app.files.storage.chosen import storage_of, try_storage
from app.jobs.model import Lane
from app.settings import SOCKET_PATH_MAX, Settings
from app.stack.binaries import postgres_program, redis_program
from app.stack.failure import StackError
from app.stack.ports import port_problem
from app.stack.probe import postgres_answers, redis_version, without_password
from app.stack.record import holder
from app.stack.store import facts, workers

PGVECTOR = (0, 8)
"""The first with iterative scans of an index, which recall needs among many tenants' memories."""

LOW_DISK_BYTES = 1 << 30
FULL_DISK_BYTES = 100 << 20
START = "start the stack: moonpool up"

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """A finding. `mend` says what to do about it; it is empty if the state is ok."""

    name: str
    state: State
    found: str
    mend: str = ""


def run_checks(now: Settings) -> list[Check]:
    """All findings, from the machine up to the workers."""
    checks: list[Callable[[Settings], list[Check]]] = [
        _python,
        _programs,
        _data_dir,
        _sockets,
        _port,
        _postgres,
        _redis,
        _files,
        _catalogue,
    ]
    return [finding for check in checks for finding in check(now)]


def _python(_: Settings) -> list[Check]:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return [Check("python", "ok", version)]
    return [Check("python", "fail", version, "use Python 3.11, 3.12 or 3.13: make run PYTHON=…")]


def _programs(now: Settings) -> list[Check]:
    found = []
    wanted = [("postgres program", postgres_program, "postgres", now.embedded_postgres)]
    wanted += [("redis program", redis_program, "redis-server", now.embedded_redis)]
    for name, locate, program, needed in wanted:
        if not needed:
            continue
        try:
            found.append(Check(name, "ok", str(locate(program))))
        except StackError as error:
            found.append(Check(name, "fail", "missing", str(error)))
    return found


def _data_dir(now: Settings) -> list[Check]:
    place = now.home
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        mend = "set MOONPOOL_DATA_DIR to a folder that you may write to"
        return [Check("data directory", "fail", f"{place} cannot be written to", mend)]
    free = shutil.disk_usage(place).free
    state: State = "ok" if free >= LOW_DISK_BYTES else "warn" if free >= FULL_DISK_BYTES else "fail"
    mend = "" if state == "ok" else "free some space, or set MOONPOOL_DATA_DIR to another disk"
    return [
        Check("data directory", "ok", str(now.home)),
        Check("disk space", state, f"{free / (1 << 30):.1f} GiB free", mend),
    ]


def _sockets(now: Settings) -> list[Check]:
    if not (now.embedded_postgres or now.embedded_redis):
        return []
    length = len(os.fsencode(now.socket_dir))
    if length <= SOCKET_PATH_MAX:
        return [Check("socket directory", "ok", str(now.socket_dir))]
    mend = "set TMPDIR or MOONPOOL_DATA_DIR to a shorter path"
    return [Check("socket directory", "fail", f"{length} bytes: {now.socket_dir}", mend)]


def _port(now: Settings) -> list[Check]:
    name = f"port {now.port}"
    problem = port_problem(now.host, now.port)
    if problem is None:
        return [Check(name, "ok", "free")]
    if holder(now.home) is not None:
        return [Check(name, "ok", "this stack listens there")]
    mend = "stop what listens there, or set MOONPOOL_PORT to another port"
    return [Check(name, "fail", problem, mend)]


def _absent(now: Settings, name: str, url: str, embedded: bool, setting: str) -> Check:
    shown = without_password(url)
    if embedded and holder(now.home) is None:
        return Check(name, "warn", "embedded, and the stack is not up", START)
    mend = f"see {now.home / 'log'}" if embedded else f"start it, or correct {setting}"
    return Check(name, "fail", f"does not answer at {shown}", mend)


def pgvector_check(version: str | None) -> Check:
    """Whether a Postgres offers a pgvector (None: none) that memory can use."""
    if version is None:
        return Check("pgvector", "fail", "missing", "install pgvector into this Postgres")
    if tuple(int(part) for part in re.findall(r"\d+", version)) < PGVECTOR:
        return Check("pgvector", "fail", version, "memory needs 0.8 or later: update pgvector")
    return Check("pgvector", "ok", version)


def _postgres(now: Settings) -> list[Check]:
    if not postgres_answers(now.postgres):
        embedded = now.embedded_postgres
        return [_absent(now, "postgres", now.postgres, embedded, "MOONPOOL_DATABASE_URL")]
    try:
        with connect(now.postgres, "doctor") as connection:
            server, missing = facts(connection), pending(connection)
            found = [
                Check("postgres", "ok", server.version),
                pgvector_check(server.pgvector),
                Check("migrations", "fail", f"lacks {', '.join(missing)}", "run: moonpool migrate")
                if missing
                else Check("migrations", "ok", "all applied"),
            ]
            alive = {} if missing else {w.lane: w for w in workers(connection) if w.lease_s > 0}
    # Whatever Postgres says, a person should read it.
    except Exception as error:
        shown = without_password(now.postgres)
        mend = "correct MOONPOOL_DATABASE_URL, or the rights of its user"
        return [Check("postgres", "fail", f"{shown}: {str(error).strip()}", mend)]
    return found + [
        Check(f"worker {lane}", "ok", f"process {alive[lane].pid}")
        if lane in alive
        else Check(f"worker {lane}", "warn", "none holds a lease", START)
        for lane in get_args(Lane)
    ]


def _redis(now: Settings) -> list[Check]:
    version = redis_version(now.redis)
    if version is None:
        return [_absent(now, "redis", now.redis, now.embedded_redis, "MOONPOOL_REDIS_URL")]
    return [Check("redis", "ok", version)]


def _files(now: Settings) -> list[Check]:
    if not now.s3_bucket and not now.home.exists():
        return []
    where = f"bucket {now.s3_bucket}" if now.s3_bucket else str(now.home / "files")
    trouble = try_storage(storage_of(now))
    if not trouble:
        return [Check("files", "ok", f"{where}: written, read and deleted")]
    mend = "correct the MOONPOOL_S3_… settings" if now.s3_bucket else "make it writable"
    return [Check("files", "fail", f"{where}: {trouble}", mend)]


def _catalogue(now: Settings) -> list[Check]:
    try:
        known = catalogue(now)
    except CatalogueError as error:
        mend = "correct the file that MOONPOOL_CATALOGUE names"
        return [Check("catalogue", "fail", str(error), mend)]
    found = [Check("catalogue", "ok", f"{len(known.models)} models")]
    if not known.found:
        note = "no provider key in the environment and no Ollama: the built-in ELIZA answers"
        mend = "set a key that docs/catalogue.md lists, such as OPENAI_API_KEY, or start Ollama"
        return [*found, Check("providers", "warn", note, mend)]
    return found + [Check("providers", "ok", line) for line in known.found]
