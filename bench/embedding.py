"""What all-MiniLM-L6-v2 does here: texts a second, and what eight bits cost in quality.

    .venv/bin/python bench/embedding.py
    .venv/bin/python bench/embedding.py --write docs/embedding.md

The texts are sentences of the pages in `docs`, each against the model in plain float32.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Of the reference's small products one thread makes short work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np
import psutil

from app.embedding.minilm import Embedder
from app.settings import settings
from bench import minilm
from bench.machine import ROOT, moment
from bench.tables import number, table, write_places

TEXTS_MAX = 1000
COMPARED = 100
ALONE = 100
LONG_TEXTS = 32
LONG = "The moon is a stone and the sea is a mirror. " * 30


def sentences() -> list[str]:
    """Sentences of 20 to 100 characters from the project's pages, each once."""
    found: dict[str, None] = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        parts = re.split(r"(?<=[.:;])\s+|\n", page.read_text())
        found |= dict.fromkeys(part.strip() for part in parts if 20 < len(part.strip()) < 100)
    return list(found)[:TEXTS_MAX]


def speed(embedder: Embedder, texts: Sequence[str], rounds: int) -> list[tuple[str, str]]:
    """How many texts go in a second, and how long one takes."""
    embedder.encode(texts[:64])
    tokens = sum(embedder.count_tokens(texts)) / len(texts)
    short = [_per_second(embedder, texts) for _ in range(rounds)]
    long = [_per_second(embedder, [LONG] * LONG_TEXTS) for _ in range(rounds)]
    alone = []
    for text in texts[:ALONE]:
        begun = time.perf_counter()
        embedder.encode([text])
        alone.append((time.perf_counter() - begun) * 1000)
    return [
        (f"short texts a second ({tokens:.0f} tokens each), in one request", number(median(short))),
        ("long texts a second (256 tokens each), in one request", number(median(long))),
        ("a short text alone, ms", number(median(alone), 1)),
    ]


def quality(embedder: Embedder, texts: Sequence[str]) -> list[tuple[str, str]]:
    """How far the vectors, and what is found by them, are from plain float32."""
    vectors = embedder.encode(texts)
    plain = np.stack([minilm.vector(ids) for ids in embedder.tokens(texts)])
    cosines = (vectors * plain).sum(axis=1)
    ours, theirs = vectors @ vectors.T, plain @ plain.T
    off = np.abs(ours - theirs)[~np.eye(len(texts), dtype=bool)]
    np.fill_diagonal(ours, -1)
    np.fill_diagonal(theirs, -1)
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()
    return [
        ("cosine with the vector in float32, mean", number(cosines.mean(), 5)),
        ("the same, lowest", number(cosines.min(), 5)),
        ("difference of a similarity of two texts, mean", number(off.mean(), 4)),
        ("the same, highest", number(off.max(), 4)),
        ("texts whose nearest other text is the same", f"{same:.1%}"),
    ]


def _per_second(embedder: Embedder, texts: Sequence[str]) -> float:
    begun = time.perf_counter()
    embedder.encode(texts)
    return len(texts) / (time.perf_counter() - begun)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds, of which the median counts.")
@click.option("--write", type=click.Path(path_type=Path, exists=True), help="Fill this page.")
def main(rounds: int, write: Path | None) -> None:
    """Measure the embeddings of this machine, with the model in the data directory."""
    when, embedder, texts = moment(), Embedder(settings().home), sentences()
    before = psutil.Process().memory_info().rss
    begun = time.perf_counter()
    embedder.encode(["moon"])
    loading = time.perf_counter() - begun
    held = (psutil.Process().memory_info().rss - before) / (1 << 20)
    rows = [
        *speed(embedder, texts, rounds),
        ("from nothing loaded to the first vector, s", number(loading, 2)),
        ("memory of the loaded model, MiB", number(held)),
        *quality(embedder, texts[:: max(1, len(texts) // COMPARED)][:COMPARED]),
    ]
    text = f"{table(('figure', 'here'), rows)}\n\n_{when}; {len(texts)} texts._"
    click.echo(text)
    if write:
        write_places(write, {"figures": text})


if __name__ == "__main__":
    main()
