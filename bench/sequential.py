"""A batch beside its lines sent one after another: through our own door, and LiteLLM's proxy."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import httpx

from bench.rig import Target
from bench.tables import number, table

WARM = 5
"""Requests before the clock runs."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Lines a second while the provider takes `provider_ms` for an answer: of a batch of `lines`
    from its upload to its files, and of its lines one after another through either gateway."""

    provider_ms: float
    lines: int
    batch: float
    ours: float
    theirs: float


def one_after_another(target: Target, content: Iterable[bytes], count: int) -> float:
    """Completions a second of the first lines of a batch's input. Raises httpx.HTTPError."""
    bodies: Iterator[dict[str, object]] = (json.loads(line)["body"] for line in content)
    first = list(islice(bodies, WARM))
    headers = {"Authorization": f"Bearer {target.key}"}
    with httpx.Client(headers=headers, timeout=300, trust_env=False) as http:
        for body in first:
            http.post(target.url, json=body).raise_for_status()
        began = time.perf_counter()
        for body in islice(chain(first, bodies), count):
            http.post(target.url, json=body).raise_for_status()
        return count / (time.perf_counter() - began)


def beside_table(found: Sequence[Beside]) -> str:
    """A row for each pace of the provider."""
    heads = ("provider's time", "lines", "batch, lines/s", "Moonpool one by one, lines/s",
             "LiteLLM one by one, lines/s", "batch / LiteLLM")  # fmt: skip
    rows = [
        (
            f"{one.provider_ms:g} ms", number(one.lines), number(one.batch), number(one.ours, 1),
            number(one.theirs, 1), f"{one.batch / one.theirs:.1f}×",
        )
        for one in found
    ]  # fmt: skip
    return table(heads, rows)
