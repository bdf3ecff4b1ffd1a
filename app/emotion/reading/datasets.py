"""Files of texts that people judged, in the forms of EmoBank and of GoEmotions."""

import csv
from dataclasses import dataclass
from pathlib import Path

from app.emotion.reading.model import LABELS

AXES = ("V", "A", "D")
SCALE = (1.0, 5.0)


class UnknownForm(Exception):
    """A file is not of the form that is asked for; the message names the column or the line."""


@dataclass(frozen=True, slots=True)
class Rated:
    """A text, and its valence, arousal and dominance from -1 to 1."""

    text: str
    axes: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Named:
    """A text and the labels that people gave it."""

    text: str
    labels: frozenset[str]


def emobank(path: Path, split: str | None = None) -> list[Rated]:
    """The rows of a CSV with a head whose columns `text`, `V`, `A` and `D` hold a text and three
    numbers from 1 to 5; of one `split` alone, as the column of that name has it. Raises UnknownForm
    and OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for column in ("text", *AXES, *(["split"] if split else [])):
            if column not in (rows.fieldnames or ()):
                raise UnknownForm(f"{path}: there is no column {column}")
        found = [
            Rated(row["text"] or "", _axes(row, f"{path}, line {rows.line_num}"))
            for row in rows
            if not split or row["split"] == split
        ]
    if not found:
        raise UnknownForm(f"{path}: there are no rows{f' of the split {split}' if split else ''}")
    return found


def _axes(row: dict[str, str], place: str) -> tuple[float, float, float]:
    found = []
    for column in AXES:
        try:
            value = float(row[column])
        except (TypeError, ValueError):
            value = float("nan")
        if not SCALE[0] <= value <= SCALE[1]:
            raise UnknownForm(f"{place}: {column} is {row[column]!r}, not a number from 1 to 5")
        # 3 is the middle of EmoBank's scale, and 2 how far its ends are from there.
        found.append((value - 3) / 2)
    return found[0], found[1], found[2]


def goemotions(path: Path) -> list[Named]:
    """The lines of a TSV without a head: a text, the places of its labels in LABELS with commas
    between, and anything; blank lines are left out. Raises UnknownForm and OSError."""
    found = []
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line in ("\n", "\r\n"):
                continue
            place = f"{path}, line {number}"
            text, tab, rest = line.rstrip("\r\n").partition("\t")
            if not tab:
                raise UnknownForm(
                    f"{place}: there is no second column, after a tab, with the labels"
                )
            found.append(Named(text, _labels(rest.partition("\t")[0], place)))
    if not found:
        raise UnknownForm(f"{path}: there are no lines")
    return found


def _labels(places: str, where: str) -> frozenset[str]:
    found = set()
    for place in places.split(","):
        if not (place.isascii() and place.isdigit() and int(place) < len(LABELS)):
            raise UnknownForm(
                f"{where}: the second column is {places!r}, not numbers from 0 to "
                f"{len(LABELS) - 1} with commas between"
            )
        found.add(LABELS[int(place)])
    return frozenset(found)
