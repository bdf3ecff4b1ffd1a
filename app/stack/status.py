"""Whether a stack is up, and what it consists of."""

from dataclasses import dataclass

from app.settings import Settings
from app.stack.client import readiness
from app.stack.probe import without_password
from app.stack.record import ProcessRow, holder, read_record


@dataclass(frozen=True, slots=True)
class Status:
    """A stack as it is at this moment. `problem` says why it is not ready."""

    up: bool
    ready: bool
    problem: str
    pid: int | None
    data_dir: str
    base_url: str
    database_url: str
    redis_url: str
    flower: str
    processes: list[ProcessRow]


def running(now: Settings) -> Settings:
    """The settings with the addresses of the stack that is up in this data directory, whatever
    this process's environment says of them."""
    record = read_record(now.home)
    if record is None or not record.port or holder(now.home) is None:
        return now
    here = {"host": record.host, "port": record.port, "flower_port": record.flower_port}
    return now.model_copy(update=here)


def status(now: Settings) -> Status:
    """The state of the stack of a data directory."""
    now = running(now)
    pid = holder(now.home)
    record = read_record(now.home)
    ready, problem = readiness(now.web_address) if pid is not None else (False, "not up")
    return Status(
        up=pid is not None,
        ready=ready,
        problem=problem,
        pid=pid,
        data_dir=str(now.home),
        base_url=now.base_url,
        database_url=without_password(now.postgres),
        redis_url=without_password(now.redis),
        flower=now.flower_address,
        processes=record.processes if record and pid is not None else [],
    )
