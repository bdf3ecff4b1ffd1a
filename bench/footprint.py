"""Memory of a whole stack: idle, and with a thousand open streams."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import OPEN, end_load, start_load
from bench.processes import Memory, cpu_seconds, memory, settle
from bench.rig import WHOLE, Provider, Target, moonpool
from bench.running import BenchError, wait_for

IDLE_S = 10.0
FLOW_S = 5.0
"""How long all streams have been flowing when they are measured."""

OPENING_S = 20.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory by role; `idle_cpu` is the share of a core that each uses with nothing to do; `load`
    is what the load client said of the streams."""

    idle: dict[str, Memory]
    idle_cpu: dict[str, float]
    busy: dict[str, Memory]
    load: dict[str, Any]


def footprint(folder: Path, upstream: Provider) -> Footprint:
    """Starts all processes of the Procfile and measures them. Raises BenchError if not every stream
    is open in time."""
    with moonpool("whole stack", folder, upstream, processes=WHOLE) as target:
        settle(target.roles)
        idle = memory(target.roles)
        before = cpu_seconds(target.roles)
        time.sleep(IDLE_S)
        after = cpu_seconds(target.roles)
        idle_cpu = {role: (after[role] - before[role]) / IDLE_S for role in after}
        busy, load = _open_streams(target, upstream)
        return Footprint(idle, idle_cpu, busy, load)


def _open_streams(target: Target, upstream: Provider) -> tuple[dict[str, Memory], dict[str, Any]]:
    upstream.pace(OPEN.ttft_ms, OPEN.itl_ms, OPEN.chunks)
    opened_before, began = upstream.streams(), time.monotonic()
    process = start_load(OPEN, target, 1, 0)
    try:
        wait_for(
            lambda: upstream.streams() - opened_before >= OPEN.connections,
            OPENING_S,
            f"{OPEN.connections} streams being open",
        )
        time.sleep(FLOW_S)
        busy = memory(target.roles)
        if time.monotonic() - began > (OPEN.chunks - 1) * OPEN.itl_ms / 1000:
            raise BenchError("the first streams ended before the last had been measured")
        return busy, end_load(process, OPEN.chunks)
    finally:
        process.kill()
        process.wait()
