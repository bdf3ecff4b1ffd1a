"""The tables: samples in, Markdown out."""

from collections.abc import Iterable, Sequence

from bench.footprint import Footprint
from bench.measure import Sample
from bench.processes import Memory
from bench.tables import mebibytes, middle, number, table

DIRECT = "direct"
OUTSIDE = ("provider", "client")
COLUMNS = (
    ("web", ("web",)),
    ("worker", ("worker_interactive",)),
    ("web + worker", ("web", "worker_interactive")),
    ("Postgres", ("postgres",)),
    ("Redis", ("redis",)),
    ("Flower", ("flower",)),
    ("provider and client", OUTSIDE),
)


def groups(samples: Sequence[Sample]) -> list[tuple[str, str, list[Sample]]]:
    """Samples by load and target, in the order in which they first come."""
    keys = dict.fromkeys((sample.work, sample.target) for sample in samples)
    return [(w, t, [s for s in samples if (s.work, s.target) == (w, t)]) for w, t in keys]


def ratios(samples: Sequence[Sample], above: str, below: str, work: str) -> list[float]:
    """Requests per second of one target over those of another, round by round."""
    rate = {(s.target, s.round): s.rps for s in samples if s.work == work}
    numbers = sorted({n for target, n in rate if target == above and (below, n) in rate})
    return [rate[above, n] / rate[below, n] for n in numbers]


def figures(samples: Iterable[Sample], name: str) -> list[float]:
    """One figure of the load client, a value per sample that has it."""
    return [s.load[name] for s in samples if s.load.get(name) is not None]


def throughput(samples: Sequence[Sample]) -> str:
    """Rate and latency of each target."""
    heads = ("load", "target", "requests/s", "p50 ms", "p99 ms", "of direct", "errors")
    rows = []
    for work, target, found in groups(samples):
        share = [100 * ratio for ratio in ratios(samples, target, DIRECT, work)]
        rows.append(
            (
                work,
                target,
                middle([s.rps for s in found], spread=True),
                middle(figures(found, "p50_ms"), 1),
                middle(figures(found, "p99_ms"), 1),
                f"{middle(share, 1)} %",
                number(sum(s.errors for s in found)),
            )
        )
    return table(heads, rows, 2)


def cpu(samples: Sequence[Sample]) -> str:
    """CPU milliseconds per request of each role."""
    rows = [
        (work, target, *(_cpu(found, roles) for _, roles in COLUMNS))
        for work, target, found in groups(samples)
    ]
    return table(("load", "target", *(name for name, _ in COLUMNS)), rows, 2)


def _cpu(samples: Sequence[Sample], roles: tuple[str, ...]) -> str:
    ran = [s for s in samples if set(roles) & set(s.cpu_ms)]
    return middle([s.cpu(*roles) for s in ran], 3)


def ttft(samples: Sequence[Sample]) -> str:
    """Time to first token of paced streams, and what each target adds to the direct call."""
    heads = ["target", "TTFT p50 ms", "TTFT p99 ms", "added p50 ms"]
    heads += ["chunk lag p50 ms", "chunk lag p99 ms", "streams/s", "errors"]
    rows = [
        (
            target,
            middle(figures(found, "ttft_p50_ms"), 2),
            middle(figures(found, "ttft_p99_ms"), 2),
            middle(added(samples, target), 2, spread=True),
            middle(figures(found, "lag_p50_ms"), 2),
            middle(figures(found, "lag_p99_ms"), 2),
            middle([s.rps for s in found]),
            number(sum(s.errors for s in found)),
        )
        for _, target, found in groups(samples)
    ]
    return table(heads, rows)


def added(samples: Sequence[Sample], target: str) -> list[float]:
    """Median time to first token minus that of the direct call in the same round, milliseconds."""
    direct = {s.round: s.load["ttft_p50_ms"] for s in samples if s.target == DIRECT}
    found = [s for s in samples if s.target == target != DIRECT and s.round in direct]
    return [s.load["ttft_p50_ms"] - direct[s.round] for s in found]


def by_round(samples: Sequence[Sample]) -> str:
    """Requests per second of the direct call and both gateways, round by round."""
    names = list(dict.fromkeys(s.target for s in samples))
    ours, theirs = [name for name in names if name != DIRECT]
    rows = []
    for work in dict.fromkeys(s.work for s in samples):
        found = ratios(samples, ours, theirs, work)
        for index, ratio in enumerate(found, start=1):
            at = [s for s in samples if s.work == work and s.round == index]
            rates = [number(next(s.rps for s in at if s.target == name)) for name in names]
            rows.append((work, str(index), *rates, f"{ratio:.1f}×"))
        all_rates = [[s.rps for s in samples if (s.work, s.target) == (work, n)] for n in names]
        rows.append((work, "**median**", *map(middle, all_rates), f"**{middle(found, 1)}×**"))
    return table(
        ("load", "round", *(f"{n}, requests/s" for n in names), f"{ours} / {theirs}"), rows
    )


def gateways(samples: Sequence[Sample]) -> str:
    """Latency and CPU of each gateway with all that belongs to it."""
    heads = ("load", "target", "p50 ms", "p99 ms", "CPU ms per request")
    heads_more = ("provider and client", "errors")
    rows = []
    for work, target, found in groups(samples):
        inside = tuple(sorted(set(found[0].cpu_ms) - set(OUTSIDE)))
        rows.append(
            (
                work,
                target,
                middle(figures(found, "p50_ms"), 1),
                middle(figures(found, "p99_ms"), 1),
                _cpu(found, inside),
                _cpu(found, OUTSIDE),
                number(sum(s.errors for s in found)),
            )
        )
    return table((*heads, *heads_more), rows, 2)


def memory_table(found: Footprint) -> str:
    """Memory of each process of a whole stack, its sum last."""
    split = all(m.shared_split for m in [*found.idle.values(), *found.busy.values()])
    kind = "PSS" if split else "RSS"
    streams = f"{found.load['conc']:,} streams"
    heads = ("process", f"idle, {kind} MiB", f"{streams}, {kind} MiB", "more", "idle CPU, % of one")
    rows = [
        (role, *_memory_cells(found.idle[role], found.busy[role]), _percent(found.idle_cpu[role]))
        for role in found.idle
    ]
    idle, busy = (Memory(_sum(m), split) for m in (found.idle, found.busy))
    total = ("**all**", *_memory_cells(idle, busy), _percent(sum(found.idle_cpu.values())))
    good = f"{found.load['n']:,} of {found.load['total']:,} streams ended whole"
    lag = f"chunk lag p50 {found.load['lag_p50_ms']} ms, p99 {found.load['lag_p99_ms']} ms"
    return f"{table(heads, [*rows, total])}\n\n{good}; {lag}."


def _sum(found: dict[str, Memory]) -> int:
    return sum(part.bytes for part in found.values())


def _memory_cells(idle: Memory, busy: Memory) -> tuple[str, str, str]:
    return mebibytes(idle.bytes), mebibytes(busy.bytes), mebibytes(busy.bytes - idle.bytes)


def _percent(share: float) -> str:
    return number(100 * share, 1)
