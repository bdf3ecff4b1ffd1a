"""What processes use: CPU and memory of each role, from /proc, the forked children included."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

QUIET_WINDOW_S = 0.5
QUIET_SHARE = 0.1
QUIET_LIMIT_S = 20.0

Roles = Mapping[str, int]
"""The first process of each role."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a role in bytes. `shared_split`: PSS, in which a page that n processes share counts
    for 1/n in each (proc(5), smaps_rollup); else RSS, where it counts whole in each."""

    bytes: int
    shared_split: bool


def families(roles: Roles) -> dict[str, list[psutil.Process]]:
    """The processes of each role: its first one and all below it, up to those of another role."""
    below: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            below.setdefault(process.ppid(), []).append(process)
    first = set(roles.values())

    def collect(process: psutil.Process) -> Iterator[psutil.Process]:
        yield process
        for child in below.get(process.pid, []):
            if child.pid not in first:
                yield from collect(child)

    return {role: list(collect(psutil.Process(pid))) for role, pid in roles.items()}


def cpu_seconds(roles: Roles) -> dict[str, float]:
    """User and system CPU of each role since its start, in seconds to the clock tick (10 ms).

    Children that have ended count too: their parent's times hold them once they are waited for.
    """
    return {role: sum(map(_cpu_s, found)) for role, found in families(roles).items()}


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))
    return 0.0


def busy_seconds() -> float:
    """CPU of the whole machine since its start in which a core was not idle, in seconds."""
    now = psutil.cpu_times()._asdict()
    # Time in guests is part of user and nice (proc(5), stat).
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(s for name, s in now.items() if name not in idle))


def memory(roles: Roles) -> dict[str, Memory]:
    """Memory of each role."""
    found = {}
    for role, processes in families(roles).items():
        parts = [_memory(process) for process in processes]
        split = all(part.shared_split for part in parts)
        found[role] = Memory(sum(part.bytes for part in parts), split)
    return found


def _memory(process: psutil.Process) -> Memory:
    try:
        return Memory(process.memory_full_info().pss, True)
    except psutil.NoSuchProcess:
        return Memory(0, True)
    except (psutil.AccessDenied, AttributeError):
        return Memory(process.memory_info().rss, False)


def settle(roles: Roles) -> None:
    """Waits until the roles have worked off what a run left behind: together they use less than a
    tenth of a core. Goes on after 20 s in any case."""
    limit = time.monotonic() + QUIET_LIMIT_S
    before = sum(cpu_seconds(roles).values())
    while time.monotonic() < limit:
        time.sleep(QUIET_WINDOW_S)
        after = sum(cpu_seconds(roles).values())
        if after - before < QUIET_SHARE * QUIET_WINDOW_S:
            return
        before = after
