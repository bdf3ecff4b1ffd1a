"""`/v1/usage`: what a tenant's jobs used and cost, summed up and one by one."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response

from app.errors import InvalidRequest, NotFound
from app.money import usd
from app.usage.model import BEGINNING_S, END_S, GROUPS, Asked, Key, Record, Sums
from app.usage.read import page, usage, windows
from app.usage.store import KnownPrice, find_price, now_s
from app.web import paging
from app.web.auth import caller
from app.web.front import Front
from app.web.paging import parameters
from app.web.schemas.usage import HistoryQuery, UsageQuery
from app.web.usage_export import export, wanted_format


def usage_routes(front: Front) -> Blueprint:
    """The blueprint of usage."""
    routes = Blueprint("usage", __name__, url_prefix="/v1/usage")
    routes.url_value_preprocessor(paging.plain_ids)

    @routes.get("")
    def sum_up() -> Response:
        query = parameters(UsageQuery)
        start_s, end_s = query.start_s, query.end_s
        if end_s is None:
            # The second that has begun counts too.
            end_s = front.reads.run(now_s) + 1
        if start_s is None:
            start_s = _month_of(end_s - 1)
        asked = _asked(query, start_s, end_s)
        rows = usage(front.reads, asked, query.group_by)
        return paging.json_answer({
            "object": "list",
            "from": start_s,
            "to": end_s,
            "group_by": query.group_by,
            "data": [_bucket(query, key, sums) for key, sums in rows.items()],
            "total": _bucket(query, (), sum(rows.values(), Sums())),
        })  # fmt: skip

    @routes.get("/history")
    def list_history() -> Response:
        query = parameters(HistoryQuery)
        asked = _asked(query, query.start_s, query.end_s)
        form = wanted_format(query.format)
        if form != "json":
            if query.limit is not None:
                raise InvalidRequest(
                    "limit is for pages; an export has all that matches.", param="limit"
                )
            return export(form, windows(front.reads, asked, query.after), record_object)
        size = query.limit or paging.PAGE
        found = page(front.reads, asked, query.after, size)
        return paging.json_answer(paging.page([record_object(one) for one in found], size))

    @routes.get("/prices/<version>")
    def get_price(version: str) -> Response:
        known = front.reads.run(lambda connection: find_price(connection, version))
        if known is None:
            raise NotFound(f"There is no price {version!r}.")
        return paging.json_answer(_price(known))

    return routes


def _asked(query: UsageQuery | HistoryQuery, start_s: int | None, end_s: int | None) -> Asked:
    start_s = BEGINNING_S if start_s is None else start_s
    end_s = END_S if end_s is None else end_s
    if start_s >= end_s:
        raise InvalidRequest("from must be before to; to itself is not included.", param="from")
    given = query.model_dump(exclude={"start_s", "end_s", "group_by", "limit", "after", "format"})
    return Asked(caller().tenant_id, start_s, end_s, **given)


def _month_of(unix_s: int) -> int:
    """The first second of the month (UTC) in which a second lies."""
    first = datetime.fromtimestamp(unix_s, UTC).replace(day=1, hour=0, minute=0, second=0)
    return int(first.timestamp())


def _bucket(query: UsageQuery, key: Key, sums: Sums) -> dict[str, Any]:
    return {
        "object": "usage.bucket",
        **dict(zip((GROUPS[group] for group in query.group_by), key, strict=False)),
        "requests": sums.requests,
        "failed": sums.failed,
        "estimated": sums.estimated,
        **_tokens_and_cost(sums),
    }


def _tokens_and_cost(told: Sums | Record) -> dict[str, Any]:
    return {
        "prompt_tokens": told.prompt,
        "cached_tokens": told.cached,
        "completion_tokens": told.completion,
        "total_tokens": told.prompt + told.completion,
        "cost_usd": usd(told.cost),
        "cost_nanos": told.cost,
    }


def record_object(record: Record) -> dict[str, Any]:
    """An ended job as the history shows it: never what was asked or answered."""
    return {
        "object": "usage.record",
        "id": record.id,
        "app_id": record.app_id,
        "key_id": record.key_id,
        "kind": record.kind,
        "model": record.model,
        "provider": record.provider,
        "status": record.status,
        **_tokens_and_cost(record),
        "price_version": record.price,
        "latency_ms": record.latency_ms,
        "ttft_ms": record.ttft_ms,
        "attempts": record.attempts,
        "created_at": record.created_s,
        "started_at": record.started_s,
        "finished_at": record.finished_s,
        "mode": "test" if record.test else "live",
    }


def _price(known: KnownPrice) -> dict[str, Any]:
    entry = known.entry
    told: dict[str, Any] = {
        "object": "price",
        "version": entry.version,
        "model": entry.model,
        "provider": entry.provider,
    }
    for name in ("input", "cached_input", "output"):
        nanos = getattr(entry, name)
        told[f"{name}_usd_per_million"] = usd(nanos)
        told[f"{name}_nanos_per_million"] = nanos
    return {**told, "source": entry.source, "since": known.since_s}
