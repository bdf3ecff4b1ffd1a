"""A batch that survives everything: each process killed in turn, Redis wiped, Postgres killed.

    .venv/bin/python -m tests.chaos.batch --lines 5000

starts a stack of its own, strikes it while the batch runs, and says what came of the lines.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.db.connect import connect
from app.ledger.verify import verify
from tests.stacks import Stack
from tests.waiting import wait_for

CATALOGUE = """
models:
  drill:
    price: {input: 1, output: 2}
    routes: [{provider: simulator, model: sim, parameters: {ttft_ms: 400, tokens: 4}}]
"""
FAILS = 10
"""Every so many lines one fails for good."""

SETTINGS = {"MOONPOOL_LOG_LEVEL": "error", "MOONPOOL_BATCH_WINDOW": "128"}
ENDED = ("completed", "failed", "expired", "cancelled")
STRIKES = (
    ("worker_batch",), ("upkeep",), ("web",), ("redis wiped",), ("postgres",), ("worker_batch",),
    ("worker_system", "worker_background", "worker_interactive", "beat"),
)  # fmt: skip
"""What is struck one after another; names that stand together, at once."""


@dataclass
class Story:
    """What became of a batch: its object, its lines by custom_id, and what struck it meanwhile."""

    batch: dict[str, Any]
    output: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    struck: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def check(self, lines: int) -> None:
        """Each line once, in one of the two files, in order."""
        good = [f"line-{n}" for n in range(lines) if n % FAILS]
        bad = [f"line-{n}" for n in range(0, lines, FAILS)]
        assert [one["custom_id"] for one in self.output] == good
        assert [one["custom_id"] for one in self.errors] == bad
        assert self.batch["request_counts"] == {
            "total": lines, "completed": len(good), "failed": len(bad),
        }  # fmt: skip


def content(lines: int) -> bytes:
    """The input of a batch of which each tenth line fails."""
    told = []
    for number in range(lines):
        body: dict[str, Any] = {
            "model": "drill", "max_tokens": 8,
            "messages": [{"role": "user", "content": f"line {number}"}],
        }  # fmt: skip
        if number % FAILS == 0:
            body["metadata"] = {"sim_status": "400"}
        told.append(json.dumps({
            "custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions",
            "body": body,
        }))  # fmt: skip
    return "\n".join(told).encode()


class Drill:
    """A stack, and a batch on it that is struck while it runs."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def run(self, lines: int) -> Story:
        """A batch from its upload to its files, with all strikes in between."""
        began = time.monotonic()
        batch_id = self._begin(lines)
        struck = [name for names in STRIKES if self._strike(names, batch_id) for name in names]
        struck += self._strike_files(batch_id)
        batch = wait_for(lambda: self._ended(batch_id), 120 + lines / 20, "the batch's end")
        assert batch is not None
        assert batch["status"] == "completed", batch
        with self._stack.client() as client:
            files = [self._lines(client, batch[f"{kind}_file_id"]) for kind in ("output", "error")]
        return Story(batch, files[0], files[1], struck, time.monotonic() - began)

    def prove(self, story: Story) -> None:
        """The books are right, each line is billed once, and the batch costs what they do."""
        with connect(self._stack.database_url) as connection:
            assert verify(connection) == []
            rows = connection.execute(
                "SELECT t.kind, count(*), sum(t.amount)::bigint FROM transfer AS t JOIN job AS j "
                "ON j.id = t.job_id WHERE j.batch_id = %s AND t.kind <> 'cost' GROUP BY t.kind",
                (story.batch["id"],),
            ).fetchall()
            files = connection.execute(
                "SELECT count(*) FROM file WHERE purpose = 'batch_output' AND filename LIKE %s",
                (f"{story.batch['id']}%",),
            ).fetchone()
        count = Counter({kind: number for kind, number, _ in rows})
        total = story.batch["request_counts"]["total"]
        assert count == {"hold": total, "settle": total, "release": total}
        paid = {kind: amount for kind, _, amount in rows}["settle"]
        assert paid == story.batch["cost_nanos"]
        assert files == (2,)

    def _begin(self, lines: int) -> str:
        with self._stack.client() as client:
            form = {"file": ("in.jsonl", content(lines), "application/jsonl")}
            sent = client.post("/files", data={"purpose": "batch"}, files=form)
            assert sent.status_code == 200, sent.text
            answer = client.post("/batches", json={
                "input_file_id": sent.json()["id"], "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            })  # fmt: skip
            assert answer.status_code == 200, answer.text
            return str(answer.json()["id"])

    def _strike(self, names: tuple[str, ...], batch_id: str) -> bool:
        """Strikes if the batch still runs, and waits until the stack is whole again."""
        if self._status(batch_id) not in ("validating", "in_progress"):
            return False
        if names == ("redis wiped",):
            self._stack.wipe_redis()
        elif names == ("postgres",):
            with self._stack.without("postgres"):
                pass
        else:
            for name, pid in [(name, self._stack.kill(name)) for name in names]:
                self._stack.await_restart(name, pid)
        self._stack.await_ready()
        return True

    def _strike_files(self, batch_id: str) -> list[str]:
        """Kills the worker while it writes the batch's files, if it is seen to."""

        def seen() -> str | None:
            status = self._status(batch_id)
            return status if status not in ("validating", "in_progress") else None

        if wait_for(seen, 600, "the batch's files") != "finalizing":
            return []
        self._stack.await_restart("worker_batch", self._stack.kill("worker_batch"))
        return ["worker_batch, finalizing"]

    def _status(self, batch_id: str) -> str:
        with connect(self._stack.database_url) as connection:
            row = connection.execute("SELECT status FROM batch WHERE id = %s", (batch_id,))
            found = row.fetchone()
        return str(found[0]) if found else "nothing"

    def _ended(self, batch_id: str) -> dict[str, Any] | None:
        with self._stack.client() as client:
            try:
                answer = client.get(f"/batches/{batch_id}")
            except httpx.TransportError:
                return None
        told: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return told if told.get("status") in ENDED else None

    def _lines(self, client: httpx.Client, file_id: str) -> list[dict[str, Any]]:
        answer = client.get(f"/files/{file_id}/content")
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


@contextmanager
def drill() -> Iterator[Drill]:
    """A drill over a stack of its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.yaml"
        path.write_text(CATALOGUE)
        with Stack({**SETTINGS, "MOONPOOL_CATALOGUE": str(path)}) as stack:
            yield Drill(stack)


def told_of(lines: int, say: Callable[[str], object] = print) -> None:
    """Runs a drill and says what came of it."""
    with drill() as running:
        story = running.run(lines)
        story.check(lines)
        running.prove(story)
    say(
        f"{lines} lines in {story.seconds:.0f} s, struck {len(story.struck)} times "
        f"({', '.join(story.struck)}): {len(story.output)} answered, {len(story.errors)} failed, "
        f"each once, {story.batch['cost_nanos']} nano-dollars, books right"
    )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5000)
    told_of(parser.parse_args().lines)


if __name__ == "__main__":
    main()
