"""A job's events as a client reads them."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx

ENDS = {"completed", "failed", "cancelled", "expired"}


@dataclass
class Told:
    """One event."""

    id: str
    name: str
    data: dict[str, Any]

    @property
    def attempt(self) -> int:
        return int(self.id.split("-")[0])

    @property
    def seq(self) -> int:
        return int(self.id.split("-")[1])


def events(
    client: httpx.Client, job_id: str, after: str | None = None, seconds: float = 60
) -> Iterator[Told]:
    """The events of a job until its end. Fails after `seconds`; raises httpx.HTTPError if the
    connection breaks."""
    headers = {"Last-Event-ID": after} if after else {}
    limit = time.monotonic() + seconds
    told: dict[str, str] = {}
    with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            assert time.monotonic() < limit, f"no end of {job_id} within {seconds} s"
            name, _, value = line.partition(": ")
            if not line and told:
                event = Told(told["id"], told["event"], json.loads(told["data"]))
                told = {}
                yield event
                if event.name in ENDS:
                    return
            elif name in ("id", "event", "data"):
                told[name] = value


def text_of(seen: list[Told]) -> str:
    """The text that a client has after `seen`: a restart discards, a snapshot replaces."""
    text = ""
    for event in seen:
        if event.name == "restarted":
            text = ""
        elif event.name == "snapshot":
            text = event.data["text"]
        elif event.name == "delta":
            text += event.data["text"]
    return text


def check_order(seen: list[Told]) -> None:
    """Ids rise without holes within each attempt, nothing comes twice, one end."""
    for one, other in pairwise(seen):
        if other.attempt == one.attempt and other.name != "snapshot":
            assert other.seq == one.seq + 1, (one, other)
        else:
            assert (other.attempt, other.seq) > (one.attempt, one.seq), (one, other)
            assert other.seq == 1 or other.name == "snapshot", (one, other)
    assert [event.name in ENDS for event in seen].count(True) <= 1
