"""The history as a file: CSV (RFC 4180) or JSON lines, sent window by window.

No connection is held while the client reads. One that is cut off ends without its last chunk; it
goes on with `after`, the id of the last line that arrived.
"""

import csv
import io
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import orjson
from flask import Response, request

from app.money import usd_digits
from app.usage.model import Record
from app.web.csv_cells import csv_cell
from app.web.schemas.usage import Format

COLUMNS = (
    "id", "app_id", "key_id", "kind", "model", "provider", "status", "prompt_tokens",
    "cached_tokens", "completion_tokens", "total_tokens", "cost_usd", "cost_nanos",
    "price_version", "latency_ms", "ttft_ms", "attempts", "created_at", "started_at",
    "finished_at", "mode",
)  # fmt: skip

FORMATS: dict[str, Format] = {
    "application/json": "json",
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
}

Shown = Callable[[Record], dict[str, Any]]


def wanted_format(named: Format | None) -> Format:
    """What the parameter `format` names, else what the Accept header likes best, else JSON."""
    return named or FORMATS[request.accept_mimetypes.best_match([*FORMATS], "application/json")]


def export(form: Format, windows: Iterator[list[Record]], shown: Shown) -> Response:
    """The response that sends all records in the form `csv` or `jsonl`. Raises Unavailable if the
    first window cannot be read."""
    first = next(windows, [])
    lines = _csv if form == "csv" else _jsonl
    mimetype = next(name for name, known in FORMATS.items() if known == form)
    answer = Response(
        lines(chain([first], windows), shown), mimetype=mimetype, direct_passthrough=True
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="usage-history.{form}"'
    return answer


def _jsonl(windows: Iterator[list[Record]], shown: Shown) -> Iterator[bytes]:
    for records in windows:
        yield b"".join([orjson.dumps(shown(one)) + b"\n" for one in records])


def _csv(windows: Iterator[list[Record]], shown: Shown) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for records in windows:
        for one in records:
            told = shown(one) | {"cost_usd": usd_digits(one.cost)}
            writer.writerow([csv_cell(told[column]) for column in COLUMNS])
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
