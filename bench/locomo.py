"""How much of LoCoMo's evidence memory finds, through the endpoints.

    .venv/bin/python -m bench.locomo locomo10.json
    .venv/bin/python -m bench.locomo locomo10.json --url http://127.0.0.1:8000 --key mp-…

Every turn is stored by POST /v1/memory/store, a conversation being a user; every question is asked
by GET /v1/memory/search. Recall at ten is the part of a question's evidence among the ten memories
found, and of the evidence's sessions the part of which any of the ten is, each the mean over all
questions. Without --url it starts a stack of its own.
"""

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from bench.api import Api, served
from bench.cli import perform
from bench.locomo_data import CATEGORIES, Conversation, Place, Question, Turn, read
from bench.machine import moment
from bench.tables import number, table

FOUND = 10
TURNS_AT_ONCE = 64
HEADS = ("questions", "count", "turns found", "sessions found")


@dataclass(frozen=True, slots=True)
class Score:
    """What was found for a question: the parts of its turns and of its sessions, and how many
    milliseconds the search took."""

    category: int
    turns: float
    sessions: float
    ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of all questions. `merged`: turns that say what an earlier one of their session
    said, and are one memory with it; `left_out`: questions whose evidence names no turn."""

    scores: list[Score]
    conversations: int
    turns: int
    merged: int
    left_out: int
    when: str

    def tables(self) -> dict[str, str]:
        """The table by the name of its place."""
        rows = [
            _row(f"{category} ({CATEGORIES.get(category, 'unknown')})", some)
            for category in sorted({score.category for score in self.scores})
            if (some := [score for score in self.scores if score.category == category])
        ]
        rows.append(_row("all", self.scores))
        note = (
            f"_{self.when}; {self.conversations} conversations of {number(self.turns)} turns, "
            f"{self.merged} of them merged with another; {self.left_out} questions without "
            f"evidence left out; a search took {number(median(s.ms for s in self.scores), 1)} ms._"
        )
        return {"locomo": f"{table(HEADS, rows)}\n\n{note}"}

    def as_dict(self) -> dict[str, Any]:
        """All figures."""
        return asdict(self)


def _row(name: str, scores: Sequence[Score]) -> tuple[str, ...]:
    turns, sessions = (fmean(s.turns for s in scores), fmean(s.sessions for s in scores))
    return name, number(len(scores)), f"{turns:.3f}", f"{sessions:.3f}"


def score(question: Question, found: set[Place], ms: float) -> Score:
    """What part of a question's evidence is among the turns that were found."""
    sessions = {session for session, _ in question.evidence}
    return Score(
        question.category,
        len(question.evidence & found) / len(question.evidence),
        len(sessions & {session for session, _ in found}) / len(sessions),
        ms,
    )


class Memory:
    """The endpoints of memory, for one user."""

    def __init__(self, api: Api, user: str) -> None:
        self._api, self._user = api, user

    def store(self, session: int, turns: Sequence[Turn]) -> list[str]:
        """Stores turns of a session; the ids of their memories, which duplicates share."""
        memories = [
            {
                "content": turn.text, "user": self._user, "session_id": f"session {session}",
                "metadata": {"turn": f"D{turn.place[0]}:{turn.place[1]}"},
            }
            for turn in turns
        ]  # fmt: skip
        told = self._api.done("/memory/store", {"memories": memories})
        return [memory["id"] for memory in told["data"]]

    def search(self, query: str) -> list[str]:
        """The ids of the memories found, best first."""
        asked = {"query": query, "user": self._user, "limit": FOUND}
        return [one["id"] for one in self._api.ask("GET", "/memory/search", params=asked)["data"]]


def converse(memory: Memory, conversation: Conversation) -> tuple[list[Score], int]:
    """Stores a conversation and asks its questions; also how many turns were merged."""
    said: dict[str, set[Place]] = {}
    count = 0
    for session, turns in conversation.sessions.items():
        for start in range(0, len(turns), TURNS_AT_ONCE):
            some = turns[start : start + TURNS_AT_ONCE]
            count += len(some)
            for memory_id, turn in zip(memory.store(session, some), some, strict=True):
                said.setdefault(memory_id, set()).add(turn.place)
    scores = []
    for question in conversation.questions:
        begun = time.perf_counter()
        found = memory.search(question.text)
        ms = (time.perf_counter() - begun) * 1000
        turns_found = set().union(*(said.get(memory_id, set()) for memory_id in found))
        scores.append(score(question, turns_found, ms))
    return scores, count - len(said)


def measure(path: Path, url: str | None, key: str) -> Report:
    """Scores a file at `url`, or in a stack that is started for it."""
    conversations, when = read(path), moment()
    scores: list[Score] = []
    merged = 0
    with served(url, key) as api:
        # Of its own, so that what an earlier run stored is neither found nor merged with.
        run = secrets.token_hex(4)
        for at, conversation in enumerate(conversations):
            some, same = converse(Memory(api, f"locomo {run} {at}"), conversation)
            scores += some
            merged += same
    turns = sum(len(turns) for one in conversations for turns in one.sessions.values())
    left_out = sum(one.left_out for one in conversations)
    return Report(scores, len(conversations), turns, merged, left_out, when)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", help="A running Moonpool, in place of one that is started.")
@click.option("--key", default="", envvar="MOONPOOL_KEY", help="A key of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--write",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the table into this page as well.",
)
def main(file: Path, url: str | None, key: str, as_json: bool, write: Path | None) -> None:
    """Score memory on a file of LoCoMo."""
    if url is not None and not key:
        raise click.UsageError("--url needs --key")
    perform(lambda: measure(file, url, key), as_json, write)


if __name__ == "__main__":
    main()
