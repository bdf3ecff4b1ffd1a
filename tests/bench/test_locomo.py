"""Reading LoCoMo's files, and scoring what was found."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.locomo import Report, Score, score
from bench.locomo_data import Question, places, read
from bench.machine import ROOT
from bench.running import BenchError
from bench.tables import place

SESSIONS = {
    "speaker_a": "Ann",
    "session_1_date_time": "1:56 pm on 8 May, 2023",
    "session_1": [
        {"speaker": "Ann", "dia_id": "D1:1", "text": "Hello!"},
        {"speaker": "Bob", "dia_id": "D1:2", "text": "Look.", "blip_caption": "a photo of a cat"},
    ],
    "session_2_date_time": "2 pm on 9 May, 2023",
    "session_10": [{"speaker": "Ann", "dia_id": "D10:1", "text": "Bye."}],
    "session_11": [],
}
QA = [
    {"question": "What?", "evidence": ["D1:2; D10:1"], "category": 1},
    {"question": "Who?", "evidence": ["D1:1", "D99:1"], "category": 4},
    {"question": "Why?", "evidence": [], "category": 3},
    {"question": "Where?", "category": 5},
]
FORMS: list[Any] = [
    [{"conversation": SESSIONS, "qa": QA}],
    [{**SESSIONS, "qa": QA}],
    {**SESSIONS, "qa": QA},
]


def written(folder: Path, told: Any) -> Path:
    path = folder / "locomo.json"
    path.write_bytes(orjson.dumps(told))
    return path


@pytest.mark.parametrize("told", FORMS, ids=["as published", "flat", "one alone"])
def test_every_form_is_read(tmp_path: Path, told: Any) -> None:
    [conversation] = read(written(tmp_path, told))
    assert [turn.text for turn in conversation.sessions[1]] == [
        "(8 May, 2023) Ann: Hello!",
        "(8 May, 2023) Bob: Look. [shares a photo of a cat]",
    ]
    assert [turn.text for turn in conversation.sessions[10]] == ["Ann: Bye."]
    assert [one.evidence for one in conversation.questions] == [{(1, 2), (10, 1)}, {(1, 1)}]
    assert conversation.left_out == 2


@pytest.mark.parametrize("told", [{}, [1], [{"qa": []}], [{"session_1": [{}], "qa": []}]])
def test_another_form_is_refused(tmp_path: Path, told: Any) -> None:
    with pytest.raises(BenchError, match=r"locomo\.json"):
        read(written(tmp_path, told))


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (["D1:3"], [(1, 3)]),
        (["D8:6; D9:17"], [(8, 6), (9, 17)]),
        (["D:11:26", "D30:05"], [(11, 26), (30, 5)]),
        (["D4:36 D5:1"], [(4, 36), (5, 1)]),
        (["D"], []),
        ("D2:1", [(2, 1)]),
        (None, []),
    ],
)
def test_evidence_is_read_however_it_is_written(told: Any, named: list[tuple[int, int]]) -> None:
    assert places(told) == named


def test_a_score_is_the_part_that_was_found() -> None:
    question = Question("What?", 1, frozenset({(1, 1), (1, 2), (3, 4)}))
    assert score(question, {(1, 2), (3, 9), (7, 7)}, 5.0) == Score(1, 1 / 3, 1.0, 5.0)
    assert score(question, set(), 5.0) == Score(1, 0.0, 0.0, 5.0)


def test_the_table_has_the_mean_of_all_questions() -> None:
    scores = [Score(1, 0.0, 1.0, 5.0), Score(4, 1.0, 1.0, 5.0), Score(4, 0.5, 0.0, 5.0)]
    lines = Report(scores, 1, 10, 0, 0, "now").tables()["locomo"].splitlines()
    assert lines[3] == "| 4 (one turn) | 2 | 0.750 | 0.500 |"
    assert lines[4] == "| all | 3 | 0.500 | 0.667 |"


@pytest.mark.parametrize("name", ["locomo", "recall"])
def test_it_runs_as_a_file_and_has_a_place_in_its_page(name: str) -> None:
    argv = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--help"]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True)
    assert "--write" in done.stdout
    page = (ROOT / "docs" / "memory.md").read_text()
    assert f"<!-- begin {name} -->\nhere\n<!--" in place(page, name, "here")
