"""How well lunes find what a test collection asks for, through the endpoints.

    .venv/bin/python -m bench.trec --documents cran.all.1400 --queries cran.qry --qrels cranqrel
    .venv/bin/python -m bench.trec --documents latimes.sgml --queries topics.301-350 --qrels qrels
    .venv/bin/python -m bench.trec --documents corpus.jsonl --queries queries.jsonl --qrels test.tsv
    … --url http://127.0.0.1:8000 --key mp-…

Every document is taken in by POST /v1/lunes/{id}/documents, and every judged query is asked by
POST /v1/lunes/{id}/search with the limit of 100; a document stands where its best passage does.
`bench/trec_data.py` says which forms are read. Without --url it starts a stack of its own.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from bench.api import Api, served
from bench.cli import perform
from bench.machine import moment
from bench.ranked import average_precision, ndcg, recall
from bench.running import BenchError
from bench.tables import number, table
from bench.trec_data import Judgements, Text, documents, is_cranfield, judgements, queries

PASSAGES = 100
"""How many a search gives at most, and so how deep recall and MAP look."""

QUERY_CHARS = 1000
"""Of a query a search reads no more, and refuses one of over 4,000."""

AT_ONCE = 16
HEADS = (
    "weights (meaning, words)", "queries", "nDCG@10, graded", "nDCG@10, binary", "recall@100",
    "MAP",
)  # fmt: skip

Weights = dict[str, float] | None
"""The weights of a search; None for the house's."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a query's ranking came to, and how many milliseconds the search took."""

    query: str
    graded: float
    binary: float
    recall: float
    precision: float
    ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of all queries by the weights they were searched with."""

    scores: dict[str, list[Score]]
    documents: int
    when: str

    def tables(self) -> dict[str, str]:
        """The table by the name of its place."""
        rows = [
            (name, number(len(some)), *(f"{fmean(values):.3f}" for values in _columns(some)))
            for name, some in self.scores.items()
        ]
        times = [score.ms for some in self.scores.values() for score in some]
        note = (
            f"_{self.when}; {number(self.documents)} documents; a search took "
            f"{number(median(times), 1)} ms._"
        )
        return {"trec": f"{table(HEADS, rows)}\n\n{note}"}

    def as_dict(self) -> dict[str, Any]:
        """All figures."""
        return asdict(self)


def _columns(scores: Sequence[Score]) -> Iterator[list[float]]:
    yield [score.graded for score in scores]
    yield [score.binary for score in scores]
    yield [score.recall for score in scores]
    yield [score.precision for score in scores]


def score(query: str, ranking: Sequence[str], worth: dict[str, float], ms: float) -> Score:
    """What a ranking of documents is worth."""
    binary = {one: float(gain > 0) for one, gain in worth.items()}
    return Score(
        query, ndcg(ranking, worth, 10), ndcg(ranking, binary, 10),
        recall(ranking, worth, PASSAGES), average_precision(ranking, worth), ms,
    )  # fmt: skip


@contextmanager
def lune(api: Api, texts: Sequence[Text]) -> Iterator[str]:
    """The id of a lune of these documents, deleted at the end."""
    # Of its own, so that what an earlier run stored is not found.
    lune_id = api.ask("POST", "/lunes", json={"name": f"trec-{token_hex(4)}"})["id"]
    try:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda text: _take_in(api, lune_id, text), texts))
        yield lune_id
    finally:
        api.done(f"/lunes/{lune_id}", None, "DELETE")


def _take_in(api: Api, lune_id: str, text: Text) -> None:
    body: dict[str, Any] = {
        "text": text.text or text.title, "external_id": text.id, "metadata": {"id": text.id},
        "media_type": "text/plain",
    }  # fmt: skip
    if text.title:
        body["title"] = text.title[:200]
    api.done(f"/lunes/{lune_id}/documents", body)


def searched(api: Api, lune_id: str, query: str, weights: Weights) -> list[str]:
    """The documents found, best first: each where its best passage stands."""
    asked: dict[str, Any] = {"query": query[:QUERY_CHARS], "limit": PASSAGES}
    if weights is not None:
        asked["fusion"] = weights
    found = api.ask("POST", f"/lunes/{lune_id}/search", json=asked)["data"]
    return list(dict.fromkeys(one["metadata"]["id"] for one in found))


def measure(
    api: Api, texts: Sequence[Text], asked: Sequence[Text], judged: Judgements,
    weighings: Sequence[Weights],
) -> Report:  # fmt: skip
    """Takes the documents in and asks every query that has a judgement, with each weighing."""
    wanted = [one for one in asked if any(judged.get(one.id, {}).values())]
    if not wanted:
        raise BenchError("no query has a judgement: are the ids of the same collection?")
    when = moment()
    scores: dict[str, list[Score]] = {}
    with lune(api, texts) as lune_id:
        for weights in weighings:
            some = scores[_name(weights)] = []
            for query in wanted:
                begun = time.perf_counter()
                ranking = searched(api, lune_id, query.text, weights)
                ms = (time.perf_counter() - begun) * 1000
                some.append(score(query.id, ranking, judged[query.id], ms))
    return Report(scores, len(texts), when)


def _name(weights: Weights) -> str:
    return "the house's" if weights is None else f"{weights['meaning']:g}, {weights['words']:g}"


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--documents", "texts", type=_FILE, required=True)
@click.option("--queries", "asked", type=_FILE, required=True)
@click.option("--qrels", type=_FILE, required=True)
@click.option(
    "--meaning", type=click.FloatRange(0, 1), multiple=True,
    help="Weigh meaning so and words the rest, in place of the house's weights; may come again.",
)  # fmt: skip
@click.option("--url", help="A running Moonpool, in place of one that is started.")
@click.option("--key", default="", envvar="MOONPOOL_KEY", help="A key of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(
    texts: Path, asked: Path, qrels: Path, meaning: tuple[float, ...], url: str | None, key: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Score lunes on a test collection."""
    if url is not None and not key:
        raise click.UsageError("--url needs --key")
    weighings: list[Weights] = [{"meaning": w, "words": 1 - w} for w in meaning] or [None]

    def run() -> Report:
        judged = judgements(qrels, codes=is_cranfield(qrels))
        with served(url, key) as api:
            return measure(api, documents(texts), queries(asked), judged, weighings)

    perform(run, as_json, None)


if __name__ == "__main__":
    main()
