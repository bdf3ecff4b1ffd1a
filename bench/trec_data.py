"""Reading test collections: documents, queries and judgements, in the forms that they come in.

- Cranfield's, as SMART has them: `.I` begins an entry; `.T`, `.A`, `.B`, `.W` its title, authors,
  source and text. The numbers in `cran.qry` are not those of `cranqrel`, which counts queries in
  their order from 1.
- BEIR's: a JSON object a line with `_id`, `title` and `text`; judgements as tab-separated
  `query-id`, `corpus-id`, `score` under a header.
- Tab-separated `id`, `text`, or `id`, `title`, `text`.
- TREC's: documents and topics in SGML ([trec_sgml.py](trec_sgml.py)).
- TREC's judgements, `query 0 document relevance`, and the same without the 0.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.running import BenchError
from bench.trec_sgml import entries, is_sgml

_FIELD = re.compile(r"\.([ITABW])(?:\s+(\S+))?\s*")
_CODES = {"1": 4.0, "2": 3.0, "3": 2.0, "4": 1.0}
"""What Cranfield's codes are worth: 1 is a complete answer, 4 of minimum interest, and all others
of none (Cleverdon 1967, The Cranfield Tests on Index Language Devices)."""


@dataclass(frozen=True, slots=True)
class Text:
    """A document or a query; queries have no title."""

    id: str
    title: str
    text: str


Judgements = dict[str, dict[str, float]]
"""What each judged document is worth for a query, both by their ids; nothing is 0."""


def documents(path: Path) -> list[Text]:
    """All documents with a text or a title. Raises BenchError."""
    found = [one for one in _texts(path) if one.title or one.text]
    if not found:
        raise BenchError(f"{path} has no documents that can be read")
    return found


def queries(path: Path) -> list[Text]:
    """All queries; those of Cranfield's form are numbered from 1. Raises BenchError."""
    found = list(_texts(path))
    if not found:
        raise BenchError(f"{path} has no queries that can be read")
    if _is_smart(path):
        return [Text(str(at), "", one.text) for at, one in enumerate(found, 1)]
    return found


def judgements(path: Path, *, codes: bool) -> Judgements:
    """The judgements; `codes`: their numbers are Cranfield's. Raises BenchError."""
    found: Judgements = defaultdict(dict)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        columns = line.split()
        if not columns or (number == 1 and not columns[-1].lstrip("-").isdigit()):
            continue
        if len(columns) not in (3, 4):
            raise BenchError(f"{path}: line {number} is no judgement: {line[:80]!r}")
        query, document, told = columns[0], columns[-2], columns[-1]
        found[query][document] = _CODES.get(told, 0.0) if codes else max(0.0, float(told))
    if not found:
        raise BenchError(f"{path} has no judgements that can be read")
    return dict(found)


def is_cranfield(path: Path) -> bool:
    """Whether judgements are Cranfield's: three columns and no header."""
    with path.open() as lines:
        columns = next(lines, "").split()
    return len(columns) == 3 and all(re.fullmatch("-?[0-9]+", column) for column in columns)


def _is_smart(path: Path) -> bool:
    return _start(path).startswith(".I")


def _start(path: Path) -> str:
    with path.open(errors="replace") as lines:
        return lines.read(1000)


def _texts(path: Path) -> Iterator[Text]:
    if _is_smart(path):
        return _smart(path)
    if is_sgml(_start(path)):
        return (Text(*one) for one in entries(path.read_text(errors="replace")))
    if path.suffix in (".jsonl", ".json"):
        return _json(path)
    return _tabs(path)


def _smart(path: Path) -> Iterator[Text]:
    entry, fields, field = "", defaultdict[str, list[str]](list), ""
    for line in [*path.read_text(errors="replace").splitlines(), ".I end"]:
        mark = _FIELD.fullmatch(line)
        if mark is None:
            fields[field].append(line.strip())
        elif mark[1] != "I":
            field = mark[1]
        else:
            if entry:
                yield Text(entry, " ".join(fields["T"]), " ".join(fields["W"]))
            entry, fields, field = mark[2] or "", defaultdict(list), ""


def _json(path: Path) -> Iterator[Text]:
    for line in path.read_bytes().splitlines():
        if line.strip():
            told = orjson.loads(line)
            yield Text(str(told["_id"]), told.get("title") or "", told.get("text") or "")


def _tabs(path: Path) -> Iterator[Text]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        columns = line.split("\t")
        if len(columns) not in (2, 3):
            raise BenchError(f"{path}: line {number} has {len(columns)} columns, not 2 or 3")
        yield Text(columns[0], columns[1] if len(columns) == 3 else "", columns[-1])
