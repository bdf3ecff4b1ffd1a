"""`/v1/usage`, over rows as the job line leaves them."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.catalogue.model import PriceEntry
from app.db.connect import Connection
from app.db.reads import SIZE
from app.ids import new_id
from app.settings import Settings
from app.usage import read
from app.usage.store import record_prices
from app.web.auth import needs
from app.web.front import Front
from app.web.front import front as make_front
from app.web.guards import GUARDS, guard
from app.web.problems import install
from app.web.usage import usage_routes
from tests.app.usage.ended import ended

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
MARCH = {"from": "2026-03-01", "to": "2026-04-01T00:00:00Z"}
RECORD = {
    "object", "id", "app_id", "key_id", "kind", "model", "provider", "status", "prompt_tokens",
    "cached_tokens", "completion_tokens", "total_tokens", "cost_usd", "cost_nanos",
    "price_version", "latency_ms", "ttft_ms", "attempts", "created_at", "started_at",
    "finished_at", "mode",
}  # fmt: skip


@pytest.fixture
def front(line_settings: Callable[..., Settings]) -> Iterator[Front]:
    made = make_front(line_settings())
    yield made
    made.reads.close()


@pytest.fixture
def client(front: Front, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setitem(GUARDS, "usage", needs("billing"))
    app = Flask("usage")
    install(app)
    guard(app, front, [usage_routes(front)])
    return app.test_client()


@pytest.fixture
def tenant_id(connection: Connection) -> str:
    return create_tenant(connection, new_id("name"))


Get = Callable[..., Any]


@pytest.fixture
def get(client: FlaskClient, connection: Connection, tenant_id: str) -> Get:
    """Asks as a key of the tenant: `get("/history", limit=2)`; returns the response."""
    key = create_key(connection, tenant_id, "billing", scopes=["billing"]).key

    def ask(path: str = "", *, accept: str = "*/*", **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Accept": accept}
        return client.get(f"/v1/usage{path}", query_string=query, headers=headers)

    return ask


def test_only_those_who_may_read_the_bill_see_it(
    client: FlaskClient, connection: Connection, tenant_id: str
) -> None:
    other = create_key(connection, tenant_id, "runs", scopes=["inference"]).key
    for path in ("", "/history", "/prices/price_0"):
        assert client.get(f"/v1/usage{path}").status_code == 401
        headers = {"Authorization": f"Bearer {other}"}
        assert client.get(f"/v1/usage{path}", headers=headers).status_code == 403


def test_sums_by_app_and_day(get: Get, connection: Connection, tenant_id: str) -> None:
    ended(connection, tenant_id, NOON, app_id="a", cost=7)
    ended(connection, tenant_id, NOON + 60, app_id="a", cost=1, state="failed")
    ended(connection, tenant_id, NOON + 86_400, app_id="b", cost=3_000_000_000)
    ended(connection, new_id("ten"), NOON, app_id="a")
    body = get(**MARCH, group_by=["app,day", "app"]).json
    assert {name: body[name] for name in ("object", "from", "to", "group_by")} == {
        "object": "list", "from": 1772323200, "to": 1775001600, "group_by": ["app", "day"],
    }  # fmt: skip
    one, other = body["data"]
    assert one == {
        "object": "usage.bucket", "app_id": "a", "day": "2026-03-10", "requests": 2, "failed": 1,
        "estimated": 0, "prompt_tokens": 20, "cached_tokens": 8, "completion_tokens": 10,
        "total_tokens": 30, "cost_usd": 8e-9, "cost_nanos": 8,
    }  # fmt: skip
    assert (other["app_id"], other["day"], other["cost_usd"]) == ("b", "2026-03-11", 3.0)
    assert body["total"] == {
        "object": "usage.bucket", "requests": 3, "failed": 1, "estimated": 0, "prompt_tokens": 30,
        "cached_tokens": 12, "completion_tokens": 15, "total_tokens": 45,
        "cost_usd": 3.000000008, "cost_nanos": 3_000_000_008,
    }  # fmt: skip


def test_without_parameters_it_is_this_month_until_now_in_one_row(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    assert get().json["data"] == [get().json["total"]]
    assert get().json["total"]["requests"] == 0
    now = time.time()
    ended(connection, tenant_id, now)
    ended(connection, tenant_id, now - 32 * 86_400)
    body = get().json
    month = datetime.fromtimestamp(body["to"] - 1, UTC).strftime("%Y-%m-01")
    assert body["from"] == datetime.fromisoformat(month).replace(tzinfo=UTC).timestamp()
    assert now < body["to"] <= time.time() + 1
    assert body["total"]["requests"] == 1
    assert body["data"] == [body["total"]]


def test_from_defaults_to_the_month_that_to_ends(get: Get) -> None:
    assert get(to="2026-03-01").json["from"] == datetime(2026, 2, 1, tzinfo=UTC).timestamp()
    assert get(to="1772323201").json["from"] == 1772323200


def test_jobs_of_test_keys_count_when_asked_for(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    key_id = create_key(connection, tenant_id, "t", mode="test").id
    ended(connection, tenant_id, key_id=key_id)
    ended(connection, tenant_id)
    assert get(group_by="key").json["data"][0]["key_id"] == "key_x"
    assert [get(mode=mode).json["total"]["requests"] for mode in ("live", "test", "all")] == [
        1, 1, 2,
    ]  # fmt: skip
    assert {one["mode"]: one["key_id"] for one in get("/history").json["data"]} == {
        "live": "key_x", "test": key_id,
    }  # fmt: skip
    assert [one["mode"] for one in get("/history", mode="test").json["data"]] == ["test"]


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("", "form", "2026-01-01"),
        ("", "status", "failed"),
        ("", "from", "yesterday"),
        ("", "from", "-5"),
        ("", "from", "9" * 5000),
        ("", "from", "1969-12-31"),
        ("", "from", "2026-03-01T00:00:00.5"),
        ("", "from", ["1", "2"]),
        ("", "from", "2999-01-01"),
        ("", "to", ""),
        ("", "to", "0001-01-01T00:00:00+23:00"),
        ("", "group_by", "app,user"),
        ("", "group_by", ""),
        ("", "app_id", "a\0b"),
        ("", "model", ""),
        ("", "provider", "x" * 257),
        ("", "key_id", ["a", "b"]),
        ("", "mode", "both"),
        ("/history", "group_by", "app"),
        ("/history", "limit", "0"),
        ("/history", "limit", "1001"),
        ("/history", "limit", "٣"),
        ("/history", "after", "job_1"),
        ("/history", "status", "queued"),
        ("/history", "format", "xml"),
        ("/history", "min_cost_usd", "-0.1"),
        ("/history", "min_cost_usd", "0.0000000001"),
        ("/history", "min_cost_usd", "much"),
        ("/history", "kind", ["a", "b"]),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(
    get: Get, path: str, name: str, value: Any
) -> None:
    answer = get(path, **{name: value})
    assert answer.status_code == 400, answer.json
    assert answer.json["error"]["param"] == name
    assert name in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["", "/history"])
def test_a_range_without_any_time_is_refused(get: Get, path: str) -> None:
    assert get(path, **{"from": "2026-03-01", "to": "1772323200"}).json["error"]["param"] == "from"


def test_more_rows_than_anybody_reads_are_refused(
    get: Get, connection: Connection, tenant_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "ROWS_MAX", 1)
    for app_id in "ab":
        ended(connection, tenant_id, NOON, app_id=app_id)
    answer = get(**MARCH, group_by="app")
    assert answer.status_code == 400
    assert "narrow" in answer.json["detail"]
    assert len(get(**MARCH, group_by="app", app_id="b").json["data"]) == 1


def test_the_history_shows_a_job_without_its_content(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    job_id = ended(connection, tenant_id, NOON + 0.5, lived_s=2.5, app_id="shop", cost=30)
    ended(connection, new_id("ten"), NOON)
    answer = get("/history")
    [record] = answer.json["data"]
    assert set(record) == RECORD
    assert record["object"] == "usage.record"
    assert (record["id"], record["app_id"], record["key_id"]) == (job_id, "shop", "key_x")
    assert (record["total_tokens"], record["cached_tokens"]) == (15, 4)
    assert (record["cost_usd"], record["cost_nanos"]) == (3e-8, 30)
    assert (record["latency_ms"], record["ttft_ms"]) == (512.3, 80.1)
    assert (record["created_at"], record["finished_at"]) == (NOON - 2, NOON)
    assert (record["price_version"], record["attempts"], record["mode"]) == ("price_0", 1, "live")
    assert b"secret" not in answer.data
    assert (answer.json["first_id"], answer.json["has_more"]) == (job_id, False)


def test_pages_of_the_history_meet_without_gap_or_overlap(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    ids = [ended(connection, tenant_id, NOON + number) for number in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    for _ in ids:
        body = get("/history", **query).json
        seen += [one["id"] for one in body["data"]]
        if not body["has_more"]:
            break
        assert len(body["data"]) == 3
        query["after"] = body["last_id"]
    assert seen == ids[::-1]


def test_the_history_narrows_to_what_is_asked(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    job_id = ended(
        connection, tenant_id, NOON, app_id="a b", model="x/y", provider="q", kind="k",
        state="failed", cost=2_000_000_000, key_id="key_z",
    )  # fmt: skip
    ended(connection, tenant_id, NOON - 86_400 * 60, cost=1_999_999_999)
    for query in (
        {"app_id": "a b"}, {"model": "x/y"}, {"provider": "q"}, {"kind": "k"}, {"key_id": "key_z"},
        {"status": "failed"}, {"min_cost_usd": "2.0"}, MARCH,
    ):  # fmt: skip
        assert [one["id"] for one in get("/history", **query).json["data"]] == [job_id], query
    assert len(get("/history").json["data"]) == 2


def test_an_export_as_csv_has_every_row(
    get: Get, connection: Connection, tenant_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "RECORDS_SCAN", 2)
    for number in range(7):
        ended(connection, tenant_id, NOON + number, app_id='a, "b"\r\nc', cost=number)
    answer = get("/history", format="csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="usage-history.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    records = get("/history").json["data"]
    assert [row["cost_usd"] for row in rows] == [f"0.00000000{n}" for n in range(6, -1, -1)]
    assert set(rows[0]) == RECORD - {"object"}
    for row, record in zip(rows, records, strict=True):
        for name in RECORD - {"object", "cost_usd"}:
            assert row[name] == str(record[name]), name


@pytest.mark.parametrize("app_id", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(
    get: Get, connection: Connection, tenant_id: str, app_id: str
) -> None:
    ended(connection, tenant_id, app_id=app_id, usage=None, provider=None)
    [row] = csv.DictReader(io.StringIO(get("/history", format="csv").text, newline=""))
    assert row["app_id"] == "'" + app_id
    assert (row["provider"], row["ttft_ms"], row["model"]) == ("", "", "m")
    assert get("/history").json["data"][0]["app_id"] == app_id


def test_an_export_as_json_lines_resumes_after_an_id(
    get: Get, connection: Connection, tenant_id: str
) -> None:
    for number in range(3):
        ended(connection, tenant_id, NOON + number)
    answer = get("/history", accept="application/x-ndjson")
    assert answer.mimetype == "application/x-ndjson"
    lines = [orjson.loads(line) for line in answer.data.splitlines()]
    assert lines == get("/history").json["data"]
    rest = get("/history", format="jsonl", after=lines[0]["id"])
    assert [orjson.loads(line) for line in rest.data.splitlines()] == lines[1:]
    assert get("/history", format="json", accept="text/csv").json["data"] == lines


def test_an_export_without_rows_is_a_head_or_nothing(get: Get) -> None:
    assert get("/history", accept="text/csv").text.startswith("id,app_id,key_id,")
    assert get("/history", format="csv").text.count("\r\n") == 1
    assert get("/history", format="jsonl").data == b""


def test_an_export_takes_no_limit(get: Get) -> None:
    answer = get("/history", format="csv", limit=5)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "limit")


def test_no_connection_waits_for_a_slow_reader(
    get: Get, front: Front, connection: Connection, tenant_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(read, "RECORDS_SCAN", 1)
    made = [ended(connection, tenant_id, NOON + number) for number in range(3)]
    pieces = get("/history", format="jsonl").iter_encoded()
    assert orjson.loads(next(pieces))["id"] == made[2]
    assert front.reads._room.counter == SIZE
    busy = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' AND state <> 'idle' "
        "AND datname = current_database()"
    ).fetchone()
    assert busy == (0,)
    ended(connection, tenant_id, NOON - 1)
    assert len(list(pieces)) == 3


def test_a_price_version_is_explained(get: Get, connection: Connection) -> None:
    version = new_id("price")
    entry = PriceEntry(version, "m", "p", 1_500_000_000, 0, 2_000_000_001, "catalogue")
    record_prices(connection, [entry])
    told = get(f"/prices/{version}").json
    assert abs(told.pop("since") - time.time()) < 60
    assert told == {
        "object": "price", "version": version, "model": "m", "provider": "p",
        "input_usd_per_million": 1.5, "input_nanos_per_million": 1_500_000_000,
        "cached_input_usd_per_million": 0.0, "cached_input_nanos_per_million": 0,
        "output_usd_per_million": 2.000000001, "output_nanos_per_million": 2_000_000_001,
        "source": "catalogue",
    }  # fmt: skip


@pytest.mark.parametrize("version", ["price_0", "a%00b", "%F0%9F%92%B0", "x" * 500])
def test_an_unknown_price_version_is_404(get: Get, version: str) -> None:
    assert get(f"/prices/{version}").status_code == 404
