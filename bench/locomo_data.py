"""LoCoMo's conversations (Maharana et al. 2024, Evaluating Very Long-Term Conversational Memory of
LLM Agents), in the form of its repository (`data/locomo10.json`), or flatter: with the sessions
beside the questions in place of under `conversation`.

    [{"conversation": {"session_1": [{"speaker", "dia_id": "D1:1", "text", "blip_caption"?}, …],
                       "session_1_date_time": "1:56 pm on 8 May, 2023", …},
      "qa": [{"question", "evidence": ["D1:3", …], "category": 1…5}, …]}, …]
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.running import BenchError

CATEGORIES = {
    1: "several turns", 2: "time", 3: "open domain", 4: "one turn", 5: "adversarial",
}  # fmt: skip
"""What the questions of a category need, as the paper's section 4.1 has them."""

_SESSION = re.compile(r"session_(\d+)\Z")
_TURN = re.compile(r"D\D?(\d+)\s*:\s*(\d+)")
"""Some evidence is written `D:11:26`, `D30:05` or `D8:6; D9:17`."""

Place = tuple[int, int]
"""A turn: its session's number and its own."""


@dataclass(frozen=True, slots=True)
class Turn:
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the turns that answer it, all of which are there."""

    text: str
    category: int
    evidence: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Sessions of turns, and the questions that can be scored. `left_out`: how many others there
    are, whose evidence is missing or names no turn."""

    sessions: dict[int, list[Turn]]
    questions: list[Question]
    left_out: int


def read(path: Path) -> list[Conversation]:
    """The conversations of a file. Raises BenchError if it has another form."""
    try:
        told = orjson.loads(path.read_bytes())
        samples = told if isinstance(told, list) else [told]
        found = [_conversation(sample) for sample in samples]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{path} is no file of LoCoMo: {error!r}") from error
    if not any(one.sessions for one in found):
        raise BenchError(f"{path} has no session_1, session_2, …")
    return found


def places(texts: Any) -> list[Place]:
    """The turns that evidence names."""
    listed = texts if isinstance(texts, list) else [texts]
    return [
        (int(session), int(turn))
        for text in listed
        for session, turn in _TURN.findall(str(text))
    ]  # fmt: skip


def _conversation(sample: dict[str, Any]) -> Conversation:
    told = sample.get("conversation", sample)
    sessions = {}
    for name, turns in told.items():
        if (match := _SESSION.match(name)) and turns:
            when = str(told.get(f"{name}_date_time", ""))
            sessions[int(match[1])] = [_turn(turn, when) for turn in turns]
    there = {turn.place for turns in sessions.values() for turn in turns}
    questions = [
        Question(str(one["question"]), int(one.get("category", 0)), frozenset(evidence))
        for one in sample["qa"]
        if (evidence := there.intersection(places(one.get("evidence", []))))
    ]
    left_out = len(sample["qa"]) - len(questions)
    return Conversation(dict(sorted(sessions.items())), questions, left_out)


def _turn(told: dict[str, Any], when: str) -> Turn:
    """A turn as it is remembered: the day, who spoke, what was said, and what a picture shows."""
    [place] = places(told["dia_id"])
    day = when.rpartition(" on ")[2]
    text = f"{told['speaker']}: {told.get('text', '')}"
    if told.get("blip_caption"):
        text += f" [shares {told['blip_caption']}]"
    return Turn(place, f"({day}) {text}" if day else text)
