"""A month's statement, from ledger and usage: as JSON, CSV or a page to print."""

import csv
import io
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from flask import Response, render_template

from app.db.reads import Reads
from app.ledger.entries import Totals, totals
from app.money import usd, usd_digits, usd_text
from app.usage import store
from app.usage.model import GROUPS, Asked, Group, Sums
from app.usage.read import SUMS_SCAN
from app.web.csv_cells import csv_cell
from app.web.paging import json_answer
from app.web.schemas.billing import Format

FORMATS: dict[str, Format] = {"application/json": "json", "text/csv": "csv", "text/html": "html"}
SPLITS: tuple[Group, ...] = ("model", "app", "key", "day")
COLUMNS = (
    "section", "name", "requests", "prompt_tokens", "cached_tokens", "completion_tokens",
    "amount_usd", "amount_nanos",
)  # fmt: skip
LABELS = {
    "opening": "Opening balance",
    "credits": "Credit",
    "debits": "Debits",
    "charges": "Charges",
    "refunds": "Refunds",
    "reversals": "Reversals",
    "closing": "Closing balance",
}
POLICY = (
    "default-src 'none'; style-src 'nonce-{}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Split = dict[str, Sums]


@dataclass(frozen=True, slots=True)
class Statement:
    """A tenant's month. `final` once the month is over; `splits`: the charges by each of SPLITS."""

    tenant_id: str
    start_s: int
    end_s: int
    made_s: int
    totals: Totals
    splits: dict[Group, Split]

    @property
    def month(self) -> str:
        return month_of(self.start_s)

    @property
    def final(self) -> bool:
        return self.made_s >= self.end_s


def month_of(unix_s: int) -> str:
    """The month (UTC) in which a second lies, such as `2026-11`."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m")


def read_statement(reads: Reads, tenant_id: str, month: str, present_s: int) -> Statement:
    """The statement of a month. While it runs, jobs may end between the reading of its splits and
    of its totals; of a month that is over both tell the same. Raises Unavailable."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    then = (first + timedelta(days=31)).replace(day=1)
    start_s, end_s = int(first.timestamp()), int(then.timestamp())
    splits = _splits(reads, Asked(tenant_id, start_s, end_s, mode="live"))
    sums = reads.run(partial(totals, tenant_id=tenant_id, start_s=start_s, end_s=end_s))
    return Statement(tenant_id, start_s, end_s, present_s, sums, splits)


def _splits(reads: Reads, asked: Asked) -> dict[Group, Split]:
    merged: dict[Group, Split] = {group: {} for group in SPLITS}
    before: str | None = None
    while True:
        window = partial(store.sums, asked=asked, by=SPLITS, before=before, scan=SUMS_SCAN)
        found, before = reads.run(window)
        for key, part in found:
            for group, name in zip(SPLITS, key, strict=True):
                split = merged[group]
                split[name or ""] = split.get(name or "", Sums()) + part
        if before is None:
            return {group: dict(sorted(split.items())) for group, split in merged.items()}


def statement_answer(statement: Statement, form: Format) -> Response:
    """The response that tells a statement in this form."""
    told = {"json": _json, "csv": _csv, "html": _html}[form](statement)
    told.headers["Cache-Control"] = "private, no-store"
    told.headers["X-Content-Type-Options"] = "nosniff"
    told.headers["Vary"] = "Accept"
    return told


def _json(statement: Statement) -> Response:
    told: dict[str, Any] = {
        "object": "billing.statement",
        "month": statement.month,
        "currency": "usd",
        "period_start": statement.start_s,
        "period_end": statement.end_s,
        "final": statement.final,
        "created_at": statement.made_s,
    }
    for name, nanos in asdict(statement.totals).items():
        told |= {f"{name}_usd": usd(nanos), f"{name}_nanos": nanos}
    told["requests"] = sum(part.requests for part in statement.splits["day"].values())
    for group, split in statement.splits.items():
        told[f"by_{group}"] = [{GROUPS[group]: name, **_sums(part)} for name, part in split.items()]
    return json_answer(told)


def _sums(part: Sums) -> dict[str, Any]:
    return {
        "requests": part.requests,
        "prompt_tokens": part.prompt,
        "cached_tokens": part.cached,
        "completion_tokens": part.completion,
        "total_tokens": part.prompt + part.completion,
        "cost_usd": usd(part.cost),
        "cost_nanos": part.cost,
    }


def _csv(statement: Statement) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for name, nanos in asdict(statement.totals).items():
        writer.writerow(["total", name, "", "", "", "", usd_digits(nanos), nanos])
    for group, split in statement.splits.items():
        for name, part in split.items():
            tokens = (part.prompt, part.cached, part.completion)
            writer.writerow(
                [group, csv_cell(name), part.requests, *tokens, usd_digits(part.cost), part.cost]
            )
    answer = Response(text.getvalue(), mimetype="text/csv")
    name = f"statement-{statement.month}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _html(statement: Statement) -> Response:
    nonce = secrets.token_urlsafe(16)
    lines = [(LABELS[name], usd_text(nanos)) for name, nanos in asdict(statement.totals).items()]
    splits = [
        (group, [(name, part, usd_text(part.cost)) for name, part in split.items()])
        for group, split in statement.splits.items()
    ]
    made = datetime.fromtimestamp(statement.made_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = render_template(
        "statement.html", nonce=nonce, statement=statement, lines=lines, splits=splits, made=made
    )
    answer = Response(text, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = POLICY.format(nonce)
    return answer
