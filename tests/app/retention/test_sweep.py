"""The nightly sweep admits deletions; what they do is tested with the chore."""

from collections.abc import Callable

from app.db.connect import Connection
from app.jobs import store
from app.redis import Wire
from app.retention.model import KIND, LANE, Selection
from app.retention.sweep import sweep_content
from app.settings import Settings
from tests.app.line import assert_proven, tenant
from tests.app.retention.parts import ended_jobs

DAY = 86_400


def test_one_deletion_for_each_tenant_that_has_something_to_delete(
    connection: Connection, wire: Wire, line_settings: Callable[..., Settings]
) -> None:
    old, fresh, poor = tenant(connection), tenant(connection), tenant(connection, 100)
    ended_jobs(connection, old, 2, age_s=8 * DAY)
    ended_jobs(connection, fresh, 2, age_s=6 * DAY)
    ended_jobs(connection, poor, age_s=8 * DAY, hold=100)
    settings = line_settings(retention_days=7)
    admitted = sweep_content(connection, settings)
    assert len(admitted) == 2
    claimed = {job.tenant_id: job for job in store.claim(connection, LANE, "wrk_a", 9)}
    assert set(claimed) == {old, poor}
    assert {job.id for job in claimed.values()} == set(admitted)
    assert {(job.kind, job.hold) for job in claimed.values()} == {(KIND, 0)}
    assert Selection.from_json(claimed[old].request).reason == "retention"
    assert wire.call(("LLEN", LANE)) == [1], "one bell for all"
    assert sweep_content(connection, settings) == [], "those of the last night are still open"
    assert_proven(connection)


def test_nothing_is_admitted_beyond_the_lanes_bound(
    connection: Connection, wire: Wire, line_settings: Callable[..., Settings]
) -> None:
    for _ in range(3):
        ended_jobs(connection, tenant(connection), age_s=40 * DAY)
    settings = line_settings(backlog_system=2)
    assert len(sweep_content(connection, settings)) == 2
    store.claim(connection, LANE, "wrk_a", 9)
    assert len(sweep_content(connection, settings)) == 1
