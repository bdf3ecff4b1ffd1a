"""Reading test collections in their forms, and scoring what was found."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.machine import ROOT
from bench.ranked import average_precision, ndcg, recall
from bench.running import BenchError
from bench.tables import place
from bench.trec import Report, Score, score, searched
from bench.trec_data import Text, documents, is_cranfield, judgements, queries

SMART = """.I 1
.T
wings in a
slipstream .
.A
brenckman,m.
.B
j. ae. scs. 25, 1958, 324.
.W
an experimental study of a wing .
it was made in a slipstream .
.I 2
.T
.A
.B
.W
.I 3
.T
shear flow
.W
flow past a flat plate .
"""
ASKED = """.I 001
.W
what similarity laws must be obeyed
by models .
.I 004
.W
what are the problems of heat .
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_cranfields_form_is_read_and_its_queries_are_counted(tmp_path: Path) -> None:
    assert documents(written(tmp_path, "cran.all.1400", SMART)) == [
        Text("1", "wings in a slipstream .",
             "an experimental study of a wing . it was made in a slipstream ."),
        Text("3", "shear flow", "flow past a flat plate ."),
    ]  # fmt: skip
    assert queries(written(tmp_path, "cran.qry", ASKED)) == [
        Text("1", "", "what similarity laws must be obeyed by models ."),
        Text("2", "", "what are the problems of heat ."),
    ]


def test_lines_of_json_and_of_columns_are_read(tmp_path: Path) -> None:
    lines = '{"_id": "d1", "title": "T", "text": "One."}\n\n{"_id": 2, "text": "Two."}\n'
    expected = [Text("d1", "T", "One."), Text("2", "", "Two.")]
    assert documents(written(tmp_path, "corpus.jsonl", lines)) == expected
    assert documents(written(tmp_path, "c.tsv", "d1\tT\tOne.\n2\tTwo.\n")) == expected
    assert queries(written(tmp_path, "q.tsv", "q9\tWhy?\n")) == [Text("q9", "", "Why?")]


NEWS = """<DOC>
<DOCNO> LA010189-0001 </DOCNO>
<DOCID> 1 </DOCID>
<HEADLINE>
<P>
PEPPERS &amp; more
</P>
</HEADLINE>
<TEXT>
<P>They are
hot.</P>
</TEXT>
<GRAPHIC> Photo </GRAPHIC>
</DOC>
<doc><docno>2</docno><title>shear flow</title><author>x</author><p>past a plate, if 1 < 2</p></doc>
"""
TOPICS = """<top>
<head> Tipster Topic Description
<num> Number: 051
<title> Topic:  Airbus
Subsidies
<desc> Description:
Aid to Airbus.
</top>
<top><num>q7</num><title></title><desc>Why is it so?</desc></top>
"""


def test_trecs_own_form_is_read_and_its_topics_bear_the_numbers_of_judgements(
    tmp_path: Path,
) -> None:
    assert documents(written(tmp_path, "latimes", NEWS)) == [
        Text("LA010189-0001", "PEPPERS & more", "They are hot."),
        Text("2", "shear flow", "past a plate, if 1 < 2"),
    ]
    asked = [Text("51", "", "Airbus Subsidies"), Text("q7", "", "Why is it so?")]
    assert queries(written(tmp_path, "topics", TOPICS)) == asked
    marked = f'<?xml version="1.0"?>\n<xml>\n{TOPICS}</xml>'
    assert queries(written(tmp_path, "topics.xml", marked)) == asked


@pytest.mark.parametrize(
    ("text", "codes", "expected"),
    [
        ("1 184 2\n1 29 -1\n2 5 1\n", True, {"1": {"184": 3, "29": 0}, "2": {"5": 4}}),
        ("q1 0 d1 2\nq1 0 d2 -1\n", False, {"q1": {"d1": 2, "d2": 0}}),
        ("query-id\tcorpus-id\tscore\nq1\td1\t1\n", False, {"q1": {"d1": 1}}),
    ],
    ids=["cranfield", "trec", "beir"],
)
def test_judgements_are_read_in_every_form(
    tmp_path: Path, text: str, codes: bool, expected: dict[str, dict[str, float]]
) -> None:
    path = written(tmp_path, "qrels", text)
    assert judgements(path, codes=codes) == expected
    assert is_cranfield(path) is codes


@pytest.mark.parametrize(
    ("read", "text"),
    [(documents, "a b c"), (documents, ""), (queries, ""), (judgements, "1 2\n3 4\n")],
)
def test_another_form_is_refused_by_its_name(tmp_path: Path, read: Any, text: str) -> None:
    path, named = written(tmp_path, "strange.txt", text), {"codes": False}
    with pytest.raises(BenchError, match="strange"):
        read(path, **(named if read is judgements else {}))


def test_measures_are_those_of_trec_eval() -> None:
    worth, ranking = {"a": 3.0, "b": 1.0, "c": 0.0, "d": 2.0}, ["b", "x", "a", "c"]
    gained = 1 / math.log2(2) + 3 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(ranking, worth, 10) == pytest.approx(gained / best)
    assert ndcg(ranking, worth, 1) == pytest.approx(1 / 3)
    assert recall(ranking, worth, 10) == pytest.approx(2 / 3)
    assert recall(ranking, worth, 1) == pytest.approx(1 / 3)
    assert average_precision(ranking, worth) == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert [ndcg([], worth, 10), recall(ranking, {}, 10), average_precision([], {})] == [0, 0, 0]


def test_a_score_has_graded_and_binary_gains() -> None:
    told = score("q", ["b", "a"], {"a": 4.0, "b": 1.0}, 5.0)
    assert told.graded < told.binary == told.recall == told.precision == 1.0


def test_a_document_stands_where_its_best_passage_does() -> None:
    class Found:
        def ask(self, method: str, path: str, **options: Any) -> Any:
            assert (method, path) == ("POST", "/lunes/lune_1/search")
            assert options["json"] == {"query": "why", "limit": 100}
            return {"data": [{"metadata": {"id": name}} for name in ("2", "1", "2", "3")]}

    found: Any = Found()
    assert searched(found, "lune_1", "why", None) == ["2", "1", "3"]


def test_of_a_long_query_as_much_is_asked_as_a_search_reads() -> None:
    class Found:
        def ask(self, method: str, path: str, **options: Any) -> Any:
            assert options["json"]["query"] == "w" * 1000
            return {"data": []}

    found: Any = Found()
    assert searched(found, "lune_1", "w" * 5000, None) == []


def test_the_table_has_a_row_for_each_weighing() -> None:
    scores = [Score("1", 0.2, 0.4, 1.0, 0.3, 5.0), Score("2", 0.4, 0.4, 0.0, 0.3, 7.0)]
    lines = Report({"0.5, 0.5": scores}, 1400, "now").tables()["trec"].splitlines()
    assert lines[2] == "| 0.5, 0.5 | 2 | 0.300 | 0.400 | 0.500 | 0.300 |"
    assert lines[4] == "_now; 1,400 documents; a search took 6.0 ms._"


@pytest.mark.parametrize(("name", "option"), [("trec", "--qrels"), ("lunes", "--write")])
def test_it_runs_as_a_file(name: str, option: str) -> None:
    argv = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--help"]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True)
    assert option in done.stdout


def test_the_page_has_a_place_for_how_long_searches_take() -> None:
    page = (ROOT / "docs" / "lunes.md").read_text()
    assert "<!-- begin lunes -->\nhere\n<!--" in place(page, "lunes", "here")
