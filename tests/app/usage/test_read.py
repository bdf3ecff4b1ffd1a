"""Sums and records, over windows of any size."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.db.connect import Connection
from app.db.reads import Reads
from app.errors import InvalidRequest
from app.ids import new_id
from app.jobs import store as line
from app.jobs.model import Outcome
from app.usage import read
from app.usage.model import GROUPS, Asked, Group, Sums
from app.usage.read import page, usage, windows
from tests.app.line import admit, draft, outcome, running, tenant, transfers
from tests.app.usage.ended import ESTIMATED, TOLD, ended, id_at

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400

JOBS = st.lists(
    st.fixed_dictionaries({
        "app_id": st.sampled_from(["a", "b"]),
        "key_id": st.sampled_from(["live", "test", "other"]),
        "model": st.sampled_from(["m", "n"]),
        "kind": st.sampled_from(["chat.completion", "completion"]),
        "provider": st.sampled_from(["p", "q", None]),
        "state": st.sampled_from(["completed", "failed", "cancelled", "expired"]),
        "day": st.integers(0, 2),
        "tokens": st.tuples(*[st.integers(0, 2**31)] * 3),
        "cost": st.integers(0, 2**40),
        "usage": st.sampled_from([TOLD, ESTIMATED, None]),
    }),
    max_size=8,
)  # fmt: skip


def value(job: dict[str, Any], group: Group) -> str | None:
    """What a job is counted under."""
    if group == "day":
        return f"2026-03-{10 + job['day']}"
    told: str | None = job["state" if group == "status" else GROUPS[group]]
    return told


def alone(job: dict[str, Any]) -> Sums:
    """The sums of one job."""
    prompt, cached, completion = job["tokens"]
    failed, estimated = int(job["state"] == "failed"), int(job["usage"] == ESTIMATED)
    return Sums(1, prompt, cached, completion, job["cost"], failed, estimated)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    JOBS,
    st.lists(st.sampled_from(list(GROUPS)), unique=True),
    st.sampled_from([1, 2, 3, 5000]),
    st.sampled_from(["live", "test", "all"]),
)
def test_any_partition_sums_up_to_the_jobs(
    connection: Connection, reads: Reads, jobs: list[dict[str, Any]], by: list[Group], scan: int,
    mode: Any,
) -> None:  # fmt: skip
    tenant_id = create_tenant(connection, new_id("name"))
    test_key = create_key(connection, tenant_id, "t", mode="test").id
    keys = {"live": create_key(connection, tenant_id, "l").id, "test": test_key, "other": "key_x"}
    jobs = [{**job, "key_id": keys[job["key_id"]]} for job in jobs]
    for job in jobs:
        rest = {name: told for name, told in job.items() if name != "day"}
        ended(connection, tenant_id, NOON + job["day"] * DAY_S, **rest)
        ended(connection, new_id("ten"), NOON, cost=7)
    expected: dict[Any, Sums] = {} if by else {(): Sums()}
    for job in jobs:
        if mode == "all" or (mode == "test") == (job["key_id"] == test_key):
            key = tuple(value(job, group) for group in by)
            expected[key] = expected.get(key, Sums()) + alone(job)
    assert usage(reads, Asked(tenant_id, mode=mode), by, scan) == expected


def test_costs_are_what_the_ledger_has_settled(connection: Connection, reads: Reads) -> None:
    tenant_id = tenant(connection)
    ids = []
    for number, (state, cost) in enumerate(
        [("completed", 30), ("completed", 250), ("failed", 0), ("cancelled", 11)]
    ):
        job = running(connection, tenant_id, hold=100)
        told: Outcome = replace(
            outcome(job, cost, state),  # type: ignore[arg-type]
            prompt_tokens=number, completion_tokens=2, provider=f"p{number}", price="price_1",
        )  # fmt: skip
        assert line.settle_group(connection, "wrk_a", [told]) == [True]
        ids.append(job.id)
    [expired] = admit(connection, tenant_id)
    line.void(connection, [expired], "queued", "expired", None, "upkeep")
    other = running(connection, tenant(connection), hold=100)
    line.settle_group(connection, "wrk_a", [outcome(other, 99)])
    admit(connection, tenant_id)

    rows = usage(reads, Asked(tenant_id), ["status", "provider"], scan=2)
    settled = sum(transfers(connection, job_id)["settle"] for job_id in [*ids, expired])
    assert sum(row.cost for row in rows.values()) == settled == 30 + 100 + 11
    assert rows["expired", None] == Sums(requests=1)
    assert rows["cancelled", "p3"] == Sums(requests=1, prompt=3, completion=2, cost=11)
    assert sum(row.requests for row in rows.values()) == 5


def test_a_range_is_half_open_and_a_day_begins_at_midnight_utc(
    connection: Connection, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Pacific/Auckland")
    midnight = int(NOON) - DAY_S // 2
    tenant_id = new_id("ten")
    for at in (midnight - 0.000001, midnight, midnight + DAY_S - 0.000001, midnight + DAY_S):
        ended(connection, tenant_id, at, cost=1)
    asked = Asked(tenant_id, midnight, midnight + DAY_S)
    assert usage(reads, asked, ["day"]) == {("2026-03-10",): Sums(2, 20, 8, 10, 2)}
    assert list(usage(reads, Asked(tenant_id), ["day"])) == [
        ("2026-03-09",), ("2026-03-10",), ("2026-03-11",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lived_s", "id_ahead_s"), [(2 * DAY_S, 0), (0, 3000), (0, -3000), (3 * DAY_S, -3000)]
)
def test_long_jobs_and_clocks_that_differ_lose_nothing(
    connection: Connection, reads: Reads, lived_s: float, id_ahead_s: float
) -> None:
    tenant_id = new_id("ten")
    job_id = id_at(NOON - lived_s + id_ahead_s)
    ended(connection, tenant_id, NOON, lived_s=lived_s, job_id=job_id)
    asked = Asked(tenant_id, int(NOON), int(NOON) + 1)
    assert usage(reads, asked, [])[()].requests == 1
    assert [one.id for one in page(reads, asked, None, 5)] == [job_id]


def test_too_many_rows_are_refused(
    connection: Connection, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "ROWS_MAX", 2)
    tenant_id = new_id("ten")
    for name in "ab":
        ended(connection, tenant_id, app_id=name)
    assert list(usage(reads, Asked(tenant_id), ["app"], scan=1)) == [("a",), ("b",)]
    ended(connection, tenant_id, app_id="c")
    with pytest.raises(InvalidRequest, match="More than 2 rows; narrow"):
        usage(reads, Asked(tenant_id), ["app"], scan=1)


@pytest.mark.parametrize("scan", [1, 2, 3, 100])
def test_windows_hold_each_match_once_newest_first(
    connection: Connection, reads: Reads, monkeypatch: pytest.MonkeyPatch, scan: int
) -> None:
    monkeypatch.setattr(read, "RECORDS_SCAN", scan)
    tenant_id = tenant(connection)
    wanted = []
    for number in range(9):
        made = ended(connection, tenant_id, NOON + number, app_id="ab"[number % 3 == 0])
        wanted += [made] if number % 3 == 0 else []
        ended(connection, new_id("ten"), NOON + number, app_id="b")
    line.admit_group(connection, [draft(tenant_id)])
    found = list(windows(reads, Asked(tenant_id, app_id="b"), None, scan))
    assert all(found)
    assert [one.id for some in found for one in some] == wanted[::-1]
    assert [one.id for one in page(reads, Asked(tenant_id, app_id="b"), None, 2)] == wanted[::-1]
    assert [one.id for one in page(reads, Asked(tenant_id, app_id="b"), wanted[2], 1)] == [
        wanted[1], wanted[0],
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["app_id", "model", "provider", "key_id", "kind"])
def test_a_filter_leaves_only_its_value(connection: Connection, reads: Reads, field: str) -> None:
    tenant_id = new_id("ten")
    wanted = ended(connection, tenant_id, **{field: "x'%s"})  # type: ignore[arg-type]
    ended(connection, tenant_id)
    asked = Asked(tenant_id, **{field: "x'%s"})  # type: ignore[arg-type]
    assert [one.id for one in page(reads, asked, None, 5)] == [wanted]
    assert usage(reads, asked, [])[()].requests == 1


def test_status_and_cost_filter_too(connection: Connection, reads: Reads) -> None:
    tenant_id = new_id("ten")
    dear = ended(connection, tenant_id, NOON, cost=500, state="cancelled")
    cheap = ended(connection, tenant_id, NOON + 1, cost=499)
    assert [r.id for r in page(reads, Asked(tenant_id, min_cost=500), None, 5)] == [dear]
    assert [r.id for r in page(reads, Asked(tenant_id, status="completed"), None, 5)] == [cheap]


def test_a_record_has_what_the_job_used(connection: Connection, reads: Reads) -> None:
    tenant_id = new_id("ten")
    told = ended(connection, tenant_id, NOON + 0.9, lived_s=2.0)
    nothing = ended(connection, tenant_id, NOON, state="expired", usage=None, provider=None)
    other, one = page(reads, Asked(tenant_id), None, 5)
    assert (one.id, one.prompt, one.cached, one.completion, one.cost) == (told, 10, 4, 5, 30)
    assert (one.latency_ms, one.ttft_ms, one.price) == (512.3, 80.1, "price_0")
    assert (one.created_s, one.finished_s) == (int(NOON) - 2, int(NOON))
    assert (other.id, other.latency_ms, other.provider) == (nothing, None, None)
    assert other.status == "expired"


def test_usage_that_postgres_cannot_read_as_json_does_no_harm(
    connection: Connection, reads: Reads
) -> None:
    tenant_id = new_id("ten")
    ended(connection, tenant_id, usage='{"note":"\\u0000","estimated":true,"latency_ms":3.0}')
    assert usage(reads, Asked(tenant_id), [])[()].estimated == 1
    assert page(reads, Asked(tenant_id), None, 1)[0].latency_ms == 3.0
