"""What is asked of the usage of a tenant, and what is told: sums, and one record for each job.

Only jobs that have ended count. Times are unix seconds, money is nano-dollars.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["app", "model", "provider", "key", "day", "kind", "status"]
Mode = Literal["live", "test", "all"]
"""Which jobs: those of live keys, of test keys, or both."""

GROUPS: dict[Group, str] = {
    "app": "app_id",
    "model": "model",
    "provider": "provider",
    "key": "key_id",
    "day": "day",
    "kind": "kind",
    "status": "status",
}
"""What sums can be split by, and the name of its value in a row."""

BEGINNING_S = 0
END_S = 253_402_300_799
"""The last second of the year 9999, beyond which Python has no dates."""

ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which ended jobs: of one tenant, finished from `start_s` until before `end_s`, with the
    values that are not None, charged `min_cost` nano-dollars at least."""

    tenant_id: str
    start_s: int = BEGINNING_S
    end_s: int = END_S
    app_id: str | None = None
    model: str | None = None
    provider: str | None = None
    key_id: str | None = None
    kind: str | None = None
    status: str | None = None
    mode: Mode = "all"
    min_cost: int = 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over jobs. `cached` tokens are among the `prompt` ones; `estimated` counts the jobs
    whose tokens were counted here, because the provider told none."""

    requests: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    cost: int = 0
    failed: int = 0
    estimated: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.requests + other.requests,
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.cost + other.cost,
            self.failed + other.failed,
            self.estimated + other.estimated,
        )


Key = tuple[str | None, ...]
"""The values of a row of sums, one for each group, in the order asked for; a day reads
`2026-11-21`."""


@dataclass(frozen=True, slots=True)
class Record:
    """An ended job without its content. `price`: the version of the price that was charged."""

    id: str
    app_id: str
    key_id: str
    kind: str
    model: str
    provider: str | None
    status: str
    prompt: int
    cached: int
    completion: int
    cost: int
    price: str | None
    latency_ms: float | None
    ttft_ms: float | None
    attempts: int
    created_s: int
    started_s: int | None
    finished_s: int
    test: bool
