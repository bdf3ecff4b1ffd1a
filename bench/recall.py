"""How long recall takes in a user's 1,000, 10,000 and 100,000 memories.

    .venv/bin/python -m bench.recall
    .venv/bin/python -m bench.recall --write docs/memory.md

The memories are words of the model's vocabulary, as often as Zipf's law has them, in sessions of 50
turns by four speakers; a question is some words of one of them. Time includes the question's vector
and all statements, on one connection; a Postgres of its own holds the memories.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import orjson
import psutil

from app.accounts.tenants import create_tenant
from app.db.connect import Connection, connect
from app.db.migrate import migrate
from app.db.reads import Reads
from app.embedding import weights
from app.embedding.vector import as_text
from app.ids import new_id
from app.memory.finding import store as finding
from app.memory.model import NewMemory, Scope
from app.memory.recall import CANDIDATES
from app.memory.service import Memories
from app.settings import Settings, settings
from app.stack.postgres import Postgres
from app.stack.probe import postgres_answers
from bench.machine import moment
from bench.running import BenchError, running
from bench.tables import number, table, write_places

SPEAKERS = ("Alice", "Bruno", "Chen", "Dana")
TURNS = 50
AT_ONCE = 2000
START_S = 60.0
OF_NEAREST = 10
HEADS = ("memories", "median ms", "p95 ms", "CPU ms", "nearest ten found", "MiB with indexes")


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured among so many memories: milliseconds of each recall, CPU milliseconds of
    one, here and in Postgres, the part of the ten nearest that are candidates, and bytes on disk
    of all tables."""

    memories: int
    times: list[float]
    cpu: float
    found: float
    size: int

    @property
    def cells(self) -> list[str]:
        high = quantiles(self.times, n=20)[-1]
        return [
            number(self.memories), number(median(self.times), 1), number(high, 1),
            number(self.cpu, 1), f"{self.found:.1%}", number(self.size / (1 << 20)),
        ]  # fmt: skip


def zipf(rng: random.Random) -> Callable[[int], list[str]]:
    """Gives so many words of the model's vocabulary, which stands in the order of how common its
    words are."""
    vocabulary = orjson.loads(weights.content(weights.TOKENIZER))["model"]["vocab"]
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    words = [word for word in ordered if word.isalpha() and word.isascii() and len(word) > 1]
    shares = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return lambda count: rng.choices(words, cum_weights=shares, k=count)


def texts(count: int, rng: random.Random) -> list[str]:
    """Turns of 8 to 24 words each."""
    words = zipf(rng)
    return [f"{rng.choice(SPEAKERS)}: {' '.join(words(rng.randint(8, 24)))}" for _ in range(count)]


def question(text: str, rng: random.Random) -> str:
    """Some words of a turn, after its speaker's name."""
    speaker, *words = text.split()
    return " ".join([speaker, *rng.sample(words, min(6, len(words)))])


@contextmanager
def database(folder: Path) -> Iterator[Settings]:
    """A Postgres of its own with the schema; the model is the one in the usual data directory."""
    place = Settings(data_dir=folder, database_url="", redis_url="")
    place.home.mkdir(parents=True, exist_ok=True)
    models = settings().home / "models"
    models.mkdir(parents=True, exist_ok=True)
    (place.home / "models").symlink_to(models.resolve())
    program = Postgres(place.home, place.socket_dir).program()
    with running(program, lambda _: postgres_answers(place.postgres), START_S):
        migrate(place.postgres)
        yield place


def fill(connection: Connection, memories: Memories, scope: Scope, turns: Sequence[str]) -> None:
    """Writes turns down in sessions. The index of vectors is made afterwards, as a restored dump's
    is."""
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute("DROP INDEX memory_vector")
    for start in range(0, len(turns), AT_ONCE):
        some = turns[start : start + AT_ONCE]
        with connection.cursor() as cursor, cursor.copy(
            "COPY memory (id, tenant_id, user_id, session_id, shelf, session, memory_type, "
            "content, digest, vector, metadata) FROM STDIN"
        ) as copy:  # fmt: skip
            for at, (text, vector) in enumerate(
                zip(some, memories.embed(some), strict=True), start
            ):
                here = Scope(scope.tenant_id, scope.user, f"session {at // TURNS}")
                new = NewMemory(new_id("mem"), text)
                copy.write_row((
                    new.id, here.tenant_id, here.user, here.session_id, here.shelf, here.session,
                    new.memory_type, text, new.digest + at.to_bytes(4), as_text(vector), "{}",
                ))  # fmt: skip
    connection.execute("INSERT INTO memory_use (seq, importance) SELECT seq, random() FROM memory")
    connection.execute(
        "CREATE INDEX memory_vector ON memory USING hnsw (vector halfvec_cosine_ops)"
    )
    connection.execute("VACUUM ANALYZE memory, memory_use, memory_word")


def measure(reads: Reads, memories: Memories, scope: Scope, asked: Sequence[str]) -> Row:
    """Recalls each question once, after some for warmth."""
    for query in asked[:20]:
        memories.recall(scope, query)
    backends = reads.run(_backends)
    before, times = _cpu_s(backends), []
    for query in asked:
        begun = time.perf_counter()
        memories.recall(scope, query)
        times.append((time.perf_counter() - begun) * 1000)
    cpu = (_cpu_s(backends) - before) * 1000 / len(asked)
    vectors = [as_text(vector) for vector in memories.embed(asked)]
    found = reads.run(lambda connection: _found(connection, scope, vectors[:50]))
    count, size = reads.run(_size)
    return Row(count, times, cpu, found, size)


def _backends(connection: Connection) -> list[psutil.Process]:
    rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'bench'")
    return [psutil.Process(), *(psutil.Process(pid) for (pid,) in rows)]


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _found(connection: Connection, scope: Scope, vectors: Sequence[str]) -> float:
    """The part of the truly nearest that are candidates."""
    where, shares = finding.places(connection, scope), []
    total = finding.counts(connection, where, "")[0].texts
    for vector in vectors:
        rows = connection.execute(
            "SELECT seq FROM (SELECT seq, vector <=> %s::halfvec AS away FROM memory OFFSET 0) "
            "AS every ORDER BY away LIMIT %s",
            (vector, OF_NEAREST),
        )
        nearest = {seq for (seq,) in rows}
        candidates = finding.near(connection, where, vector, total)
        if len(candidates) > CANDIDATES:
            raise BenchError("more candidates than were asked for")
        shares.append(len(nearest & {*candidates}) / OF_NEAREST)
    return sum(shares) / len(shares)


def _size(connection: Connection) -> tuple[int, int]:
    row = connection.execute(
        "SELECT (SELECT count(*) FROM memory), sum(pg_total_relation_size(oid)) FROM pg_class "
        "WHERE relkind = 'r' AND starts_with(relname, 'memory')"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def run(count: int, questions: int) -> Row:
    """Measures among `count` memories."""
    rng = random.Random(count)
    turns = texts(count, rng)
    with (
        tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as folder,
        database(Path(folder)) as place,
    ):
        reads = Reads(place.postgres, "bench")
        memories = Memories(reads, place)
        with connect(place.postgres, "fill") as connection:
            scope = Scope(create_tenant(connection, "bench"), "user")
            fill(connection, memories, scope, turns)
        asked = [question(rng.choice(turns), rng) for _ in range(questions)]
        return measure(reads, memories, scope, asked)


@click.command()
@click.option("--sizes", default="1000,10000,100000", show_default=True, help="Memories of a user.")
@click.option("--questions", default=300, show_default=True, type=click.IntRange(20))
@click.option("--write", type=click.Path(path_type=Path, exists=True), help="Fill this page.")
def main(sizes: str, questions: int, write: Path | None) -> None:
    """Measure recall on this machine."""
    when = moment()
    try:
        rows = [run(int(size), questions).cells for size in sizes.split(",")]
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    text = f"{table(HEADS, rows, 0)}\n\n_{when}; {questions} questions each._"
    click.echo(text)
    if write:
        write_places(write, {"recall": text})


if __name__ == "__main__":
    main()
