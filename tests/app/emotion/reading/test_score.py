"""The command on small files, its figures against those worked out here."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.emotion.reading import score
from app.emotion.reading.reader import Reader

RATED = [
    ("What a wonderful day!", 4.5, 4.0, 3.5),
    ("My dog died.", 1.5, 3.0, 2.5),
    ("The meeting is on Tuesday.", 3.0, 2.5, 3.0),
    ("I will kill you!", 1.25, 4.5, 4.0),
]
NAMED = [
    ("Thank you so much!", "15"),
    ("I love it", "18"),
    ("The meeting is on Tuesday.", "27"),
    ("I am so angry!", "2,3"),
    ("Thank you, I love you", "15"),
]


@pytest.fixture
def figures(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> "Figures":
    monkeypatch.setattr(score, "reader", lambda _: reader)
    return Figures()


class Figures:
    def __call__(self, *arguments: object) -> dict[str, float]:
        told = CliRunner().invoke(score.main, [str(argument) for argument in arguments])
        assert told.exit_code == 0, told.output
        rows = (line.rpartition(": ") for line in told.output.splitlines())
        return {name: float(value) for name, _, value in rows}


def emobank_file(folder: Path) -> Path:
    path = folder / "rated.csv"
    rows = [f'{i},test,{v},{a},{d},"{text}"' for i, (text, v, a, d) in enumerate(RATED)]
    path.write_text("\n".join(["id,split,V,A,D,text", "x,train,1,1,1,no", *rows]) + "\n")
    return path


def goemotions_file(folder: Path) -> Path:
    path = folder / "named.tsv"
    path.write_text("".join(f"{text}\t{labels}\tid\n" for text, labels in NAMED))
    return path


def test_pearson_of_a_split_is_printed(figures: Figures, reader: Reader, folder: Path) -> None:
    told = figures("emobank", emobank_file(folder), "--split", "test")
    found = [reader.read(text).valence for text, *_ in RATED]
    wanted = [row[1] for row in RATED]
    mean, middle = sum(found) / 4, sum(wanted) / 4
    shared = sum((a - mean) * (b - middle) for a, b in zip(found, wanted, strict=True))
    spread = math.sqrt(sum((a - mean) ** 2 for a in found) * sum((b - middle) ** 2 for b in wanted))
    assert told["Pearson of valence"] == pytest.approx(shared / spread, abs=1e-4)
    assert told["texts"] == len(RATED)
    assert {"Pearson of arousal", "Pearson of dominance"} < set(told)
    assert 0 < told["CPU ms a text, mean"] < 1000
    assert figures("emobank", emobank_file(folder))["texts"] == len(RATED) + 1


def test_f1_and_calibration_are_printed(figures: Figures, reader: Reader, folder: Path) -> None:
    told = figures("goemotions", goemotions_file(folder))
    readings = [reader.read(text) for text, _ in NAMED]
    thresholds = {name: known.threshold for name, known in reader.calibration.labels.items()}
    passed = [{n for n, p in read.labels.items() if p >= thresholds[n]} for read in readings]
    # Both that thank are to be found; more of them are wrong, fewer are missed.
    taken = sum("gratitude" in names for names in passed)
    right = sum("gratitude" in passed[i] for i in (0, 4))
    assert told["F1 of gratitude"] == pytest.approx(2 * right / (taken + 2), abs=1e-4)
    assert told["F1 of gratitude"] > 0
    of_labels = [told[f"F1 of {name}"] for name in thresholds]
    assert told["macro-F1 of the 28 labels"] == pytest.approx(sum(of_labels) / 28, abs=1e-4)
    of_ekman = [told[f"F1 of Ekman's {name}"] for name in readings[0].ekman]
    assert told["macro-F1 of Ekman's 7"] == pytest.approx(sum(of_ekman) / 7, abs=1e-4)
    assert told["texts"] == len(NAMED)


def test_the_calibration_error_is_that_of_the_primary_label(
    figures: Figures, reader: Reader, folder: Path
) -> None:
    path = folder / "one.tsv"
    path.write_text("Thank you so much!\t15\n")
    read = reader.read("Thank you so much!")
    told = figures("goemotions", path)
    assert told["ECE of the primary label"] == pytest.approx(1 - read.confidence, abs=1e-4)
    path.write_text("Thank you so much!\t0\n")
    told = figures("goemotions", path)
    assert told["ECE of the primary label"] == pytest.approx(read.confidence, abs=1e-4)


@pytest.mark.parametrize("form", ["emobank", "goemotions"])
def test_a_file_of_another_form_is_named_with_its_fault(folder: Path, form: str) -> None:
    path = folder / "other"
    path.write_text("moon\n")
    told = CliRunner().invoke(score.main, [form, str(path)])
    assert told.exit_code == 1
    wanted = {"emobank": "there is no column text", "goemotions": "line 1: there is no second"}
    assert f"{path}" in told.output
    assert wanted[form] in told.output


def test_it_runs_as_a_module(reader_home: Path, folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "app.emotion.reading.score", "emobank", str(emobank_file(folder))],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MOONPOOL_DATA_DIR": str(reader_home)},
    )
    assert told.returncode == 0, told.stderr
    assert "Pearson of valence: " in told.stdout
