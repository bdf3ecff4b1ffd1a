"""How well the shipped reader does on a file of judged texts.

python -m app.emotion.reading.score emobank FILE.csv --split dev
python -m app.emotion.reading.score goemotions FILE.tsv
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles

import click

from app.emotion.reading import datasets, metrics
from app.emotion.reading.calibration import passing
from app.emotion.reading.model import AXES, EKMAN, LABELS, Reading
from app.emotion.reading.reader import Reader, reader
from app.settings import settings

Figures = list[tuple[str, float]]
FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@dataclass(frozen=True, slots=True)
class Timed:
    """Readings of texts, each read in a call of its own, and the milliseconds of CPU of each."""

    readings: list[Reading]
    cpu_ms: list[float]


def timed(known: Reader, texts: Sequence[str]) -> Timed:
    """Reads texts one by one. Of the process's threads all count."""
    known.read("The model is loaded before the clock starts.")
    readings, spent = [], []
    for text in texts:
        begun = time.process_time()
        readings.append(known.read(text))
        spent.append((time.process_time() - begun) * 1000)
    return Timed(readings, spent)


def of_axes(rows: Sequence[datasets.Rated], readings: Sequence[Reading]) -> Figures:
    """Pearson's correlation of each axis."""
    found = [(r.valence, r.arousal, r.dominance) for r in readings]
    return [
        (
            f"Pearson of {axis}",
            metrics.pearson([axes[i] for axes in found], [row.axes[i] for row in rows]),
        )
        for i, axis in enumerate(AXES)
    ]


def of_labels(
    rows: Sequence[datasets.Named], readings: Sequence[Reading], known: Reader
) -> Figures:
    """F1 and calibration of the 28 labels and of Ekman's classes."""
    wanted = [row.labels for row in rows]
    found = [passing(reading.labels, known.calibration.labels) for reading in readings]
    grouped = [{name for name, of in EKMAN.items() if labels & {*of}} for labels in wanted]
    coarse = [passing(reading.ekman, known.calibration.ekman) for reading in readings]
    top = [max(reading.ekman, key=reading.ekman.__getitem__) for reading in readings]
    return [
        ("macro-F1 of the 28 labels", metrics.macro_f1(found, wanted, LABELS)),
        ("macro-F1 of Ekman's 7", metrics.macro_f1(coarse, grouped, tuple(EKMAN))),
        (
            "ECE of the primary label",
            metrics.calibration_error(
                [reading.confidence for reading in readings],
                [r.primary in labels for r, labels in zip(readings, wanted, strict=True)],
            ),
        ),
        ("ECE over all probabilities of labels", _of_all([r.labels for r in readings], wanted)),
        (
            "ECE of Ekman's likeliest",
            metrics.calibration_error(
                [r.ekman[name] for r, name in zip(readings, top, strict=True)],
                [name in classes for name, classes in zip(top, grouped, strict=True)],
            ),
        ),
        ("ECE over all probabilities of Ekman's", _of_all([r.ekman for r in readings], grouped)),
        *((f"F1 of {name}", metrics.f1(found, wanted, name)) for name in LABELS),
        *((f"F1 of Ekman's {name}", metrics.f1(coarse, grouped, name)) for name in EKMAN),
    ]


def _of_all(
    given: Sequence[dict[str, float]], wanted: Sequence[set[str] | frozenset[str]]
) -> float:
    pairs = [
        (p, name in names)
        for row, names in zip(given, wanted, strict=True)
        for name, p in row.items()
    ]
    return metrics.calibration_error([p for p, _ in pairs], [hit for _, hit in pairs])


def _tell(figures: Figures, cpu_ms: Sequence[float]) -> None:
    for name, value in figures:
        click.echo(f"{name}: {value:.4f}")
    most = quantiles(cpu_ms, n=100)[98] if len(cpu_ms) > 1 else cpu_ms[0]
    click.echo(f"texts: {len(cpu_ms)}")
    click.echo(f"CPU ms a text, mean: {fmean(cpu_ms):.1f}")
    click.echo(f"CPU ms a text, 99 of 100 within: {most:.1f}")


@click.group()
def main() -> None:
    """Measure the shipped reader on judged texts. Probabilities are held against the labels by the
    expected calibration error over 15 bins of equal width."""


@main.command("emobank")
@FILE
@click.option("--split", help="Only rows whose column `split` holds this.")
def emobank_command(file: Path, split: str | None) -> None:
    """FILE is a CSV with columns text, V, A and D, these from 1 to 5."""
    try:
        rows = datasets.emobank(file, split)
    except datasets.UnknownForm as error:
        raise click.ClickException(str(error)) from error
    read = timed(reader(settings()), [row.text for row in rows])
    _tell(of_axes(rows, read.readings), read.cpu_ms)


@main.command("goemotions")
@FILE
def goemotions_command(file: Path) -> None:
    """FILE is a TSV without a head: text, numbers of labels with commas between."""
    try:
        rows = datasets.goemotions(file)
    except datasets.UnknownForm as error:
        raise click.ClickException(str(error)) from error
    known = reader(settings())
    read = timed(known, [row.text for row in rows])
    _tell(of_labels(rows, read.readings, known), read.cpu_ms)


if __name__ == "__main__":
    main()
