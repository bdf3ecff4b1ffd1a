"""How long a search takes in lunes of 1,000, 10,000 and 100,000 passages, through the endpoint.

    .venv/bin/python -m bench.lunes
    .venv/bin/python -m bench.lunes --write docs/lunes.md

A stack of its own holds all of them; its Postgres is filled directly. A passage is 60 to 120 words
of the model's vocabulary, as often as Zipf's law has them, and a question is ten words of one. Of
VECTORS passages the vector is that of their first words, and of all others the mean of two of
these, since the model would take hours for them. Questions come one after the other.
"""

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import numpy as np

from app.db.connect import Connection, connect
from app.embedding.minilm import embedder
from app.embedding.vector import as_text
from app.ids import new_id
from app.lunes.finding import store
from app.settings import Settings
from bench.api import Api, client_of
from bench.machine import moment
from bench.recall import zipf
from bench.rig import WHOLE, moonpool, provider
from bench.running import BenchError
from bench.tables import number, table, write_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

PASSAGES = 50
"""Passages of a document."""

VECTORS = 10_000
FIRST_WORDS = 12
AT_ONCE = 2000
OF_NEAREST = 10
HEADS = ("passages", "median ms", "p95 ms", "nearest ten found")
INDEXES = (
    "CREATE INDEX lune_passage_vector ON lune_passage USING hnsw (vector halfvec_cosine_ops)",
    "ALTER TABLE lune_word ADD PRIMARY KEY (lune, lexeme, seq) INCLUDE (times, words)",
    "CREATE INDEX lune_word_of ON lune_word (seq)",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured in a lune of so many passages: milliseconds of each search, and the part of
    the ten nearest by vector that are candidates."""

    passages: int
    times: list[float]
    found: float

    @property
    def cells(self) -> list[str]:
        high = quantiles(self.times, n=20)[-1]
        return [
            number(self.passages), number(median(self.times), 1), number(high, 1),
            f"{self.found:.1%}",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filled:
    """A lune of these texts."""

    id: str
    seq: int
    texts: list[str]


def vectors_of(
    texts: Sequence[str], place: Settings, rng: np.random.Generator
) -> "NDArray[np.float32]":
    """A vector for each text, of length 1."""
    first = [" ".join(text.split()[:FIRST_WORDS]) for text in texts[:VECTORS]]
    known = embedder(place).encode(first)
    if len(texts) <= len(known):
        return known
    pairs = rng.integers(len(known), size=(len(texts) - len(known), 2))
    mixed = known[pairs[:, 0]] + known[pairs[:, 1]]
    return np.concatenate([known, mixed / np.linalg.norm(mixed, axis=1, keepdims=True)])


def fill(connection: Connection, tenant_id: str, place: Settings, count: int) -> Filled:
    """A lune of `count` passages."""
    words, rng = zipf(random.Random(count)), random.Random(count)
    texts = [" ".join(words(rng.randint(60, 120))) for _ in range(count)]
    vectors = vectors_of(texts, place, np.random.default_rng(count))
    row = connection.execute(
        "INSERT INTO lune (id, tenant_id, name, metadata) VALUES (%s, %s, %s, '{}') RETURNING seq",
        (lune_id := new_id("lune"), tenant_id, f"bench-{count}"),
    ).fetchone()
    assert row is not None
    versions = [_document(connection, tenant_id, row[0]) for _ in range(0, count, PASSAGES)]
    with connection.cursor() as cursor, cursor.copy(
        "COPY lune_passage (lune, version, ordinal, heading, content, start_at, end_at, tokens, "
        "words, vector) FROM STDIN"
    ) as copy:  # fmt: skip
        for at, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            copy.write_row((
                row[0], versions[at // PASSAGES], at % PASSAGES, "", text, 0, len(text), 200,
                len(text.split()), as_text(vector),
            ))  # fmt: skip
    return Filled(lune_id, row[0], texts)


def _document(connection: Connection, tenant_id: str, lune: int) -> int:
    made = new_id("doc")
    connection.execute(
        "INSERT INTO lune_document (id, tenant_id, lune, identity, origin, metadata, state) "
        "VALUES (%s, %s, %s, %s, 'sent', '{}', 'completed')",
        (made, tenant_id, lune, made.encode()),
    )
    row = connection.execute(
        "INSERT INTO lune_version (document_id, job_id, current) VALUES (%s, 'job_x', true) "
        "RETURNING seq",
        (made,),
    ).fetchone()
    assert row is not None
    connection.execute("UPDATE lune_document SET version = %s WHERE id = %s", (row[0], made))
    return int(row[0])


def fill_all(connection: Connection, place: Settings, sizes: Sequence[int]) -> list[Filled]:
    """A lune of each size. Indexes are made afterwards, as a restored dump's are."""
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute("DROP INDEX lune_passage_vector, lune_word_of")
    connection.execute("ALTER TABLE lune_word DROP CONSTRAINT lune_word_pkey")
    row = connection.execute("SELECT id FROM tenant WHERE name = 'bench'").fetchone()
    assert row is not None
    filled = [fill(connection, row[0], place, size) for size in sizes]
    connection.execute(
        "INSERT INTO lune_word (lune, lexeme, seq, times, words) "
        "SELECT lune, lexeme, seq, cardinality(positions), words "
        "FROM lune_passage, unnest(to_tsvector('english', content))"
    )
    connection.execute(
        "INSERT INTO lune_lexeme (lune, lexeme, passages) "
        "SELECT lune, lexeme, count(*) FROM lune_word GROUP BY lune, lexeme"
    )
    connection.execute(
        "UPDATE lune SET passages = n, words = w FROM (SELECT lune, count(*) AS n, "
        "sum(words) AS w FROM lune_passage GROUP BY lune) AS of WHERE of.lune = lune.seq"
    )
    for statement in INDEXES:
        connection.execute(statement)
    connection.execute("VACUUM ANALYZE lune, lune_document, lune_passage, lune_word, lune_lexeme")
    return filled


def measure(
    api: Api, connection: Connection, place: Settings, filled: Filled, questions: int
) -> Row:
    """Asks each question once, after some for warmth."""
    rng, times = random.Random(questions), []
    asked = [" ".join(rng.sample(rng.choice(filled.texts).split(), 10)) for _ in range(questions)]
    for at, query in enumerate([*asked[:20], *asked]):
        begun = time.perf_counter()
        told = api.ask("POST", f"/lunes/{filled.id}/search", json={"query": query})
        if len(told["data"]) != OF_NEAREST:
            raise BenchError("a search did not find ten passages")
        if at >= 20:
            times.append((time.perf_counter() - begun) * 1000)
    vectors = [as_text(vector) for vector in embedder(place).encode(asked[:50])]
    return Row(len(filled.texts), times, _found(connection, filled, vectors))


def _found(connection: Connection, filled: Filled, vectors: Sequence[str]) -> float:
    """The part of the truly nearest that are candidates."""
    shares = []
    for vector in vectors:
        rows = connection.execute(
            "SELECT seq FROM (SELECT seq, vector <=> %s::halfvec AS away FROM lune_passage "
            "WHERE lune = %s OFFSET 0) AS every ORDER BY away LIMIT %s",
            (vector, filled.seq, OF_NEAREST),
        )
        nearest = {seq for (seq,) in rows}
        where = store.Places([filled.seq])
        shares.append(
            len(nearest & {*store.near(connection, where, vector, len(filled.texts))}) / OF_NEAREST
        )
    return sum(shares) / len(shares)


def run(sizes: Sequence[int], questions: int) -> list[Row]:
    """Measures in a lune of each size, beside the others."""
    with tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as name:
        folder = Path(name)
        place = Settings(data_dir=folder / "stack" / "data", database_url="", redis_url="")
        with (
            provider(folder) as upstream,
            moonpool("moonpool", folder / "stack", upstream, processes=WHOLE) as target,
            connect(place.postgres, "bench") as connection,
            client_of(target.url.removesuffix("/chat/completions"), target.key) as client,
        ):
            filled = fill_all(connection, place, sizes)
            return [measure(Api(client), connection, place, one, questions) for one in filled]


@click.command()
@click.option("--sizes", default="1000,10000,100000", show_default=True, help="Passages of a lune.")
@click.option("--questions", default=300, show_default=True, type=click.IntRange(20))
@click.option("--write", type=click.Path(path_type=Path, exists=True), help="Fill this page.")
def main(sizes: str, questions: int, write: Path | None) -> None:
    """Measure searches on this machine."""
    when = moment()
    try:
        rows = [row.cells for row in run([int(size) for size in sizes.split(",")], questions)]
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    text = f"{table(HEADS, rows, 0)}\n\n_{when}; {questions} questions each._"
    click.echo(text)
    if write:
        write_places(write, {"lunes": text})


if __name__ == "__main__":
    main()
