"""What a selection means, and which tenants have something past its retention."""

from typing import Any

import pytest

from app.db.connect import Connection
from app.jobs import store as jobs
from app.jobs.forget import forget
from app.redis import Wire
from app.retention import store
from app.retention.model import RETENTION_KEY, Selection, deletion_draft
from app.retention.store import (
    Page,
    database_now,
    deletions,
    mark_swept,
    matching,
    retention_due,
)
from tests.app.line import admit, tenant
from tests.app.retention.parts import ended_jobs

ME = "job_me"
DAY = 86_400


def pages(connection: Connection, tenant_id: str, **asked: Any) -> list[Page]:
    """All pages of a selection that was made now."""
    made_s, after = database_now(connection), None
    found: list[Page] = []
    while True:
        page = matching(connection, tenant_id, ME, made_s, Selection(**asked), after)
        if page.last is None:
            return found
        found.append(page)
        after = page.last


def kept(connection: Connection, tenant_id: str, **asked: Any) -> list[str]:
    return [job_id for page in pages(connection, tenant_id, **asked) for job_id in page.kept]


def test_each_selector_narrows_and_another_tenant_is_never_meant(connection: Connection) -> None:
    mine, theirs = tenant(connection), tenant(connection)
    [plain] = ended_jobs(connection, mine, request='{"messages":[]}')
    [user] = ended_jobs(connection, mine)
    [app] = ended_jobs(connection, mine, app_id="shop", request="{}")
    [session] = ended_jobs(connection, mine, session="s1", request="{}")
    [old] = ended_jobs(connection, mine, age_s=10 * DAY, request='{"user":"u\\u0000 2"}')
    [other] = ended_jobs(connection, theirs, app_id="shop", session="s1")
    everything = sorted([plain, user, app, session, old])
    assert kept(connection, mine, before=database_now(connection) + DAY) == everything
    assert kept(connection, mine, before=database_now(connection) - DAY) == [old]
    assert kept(connection, mine, before=0) == []
    assert kept(connection, mine, user="u1") == [user]
    assert kept(connection, mine, app_id="shop") == [app]
    assert kept(connection, mine, session_id="s1") == [session]
    assert kept(connection, mine, job_ids=[app, other]) == [app]
    assert kept(connection, mine, app_id="shop", session_id="s1") == []
    assert kept(connection, mine, user="nobody") == []


def test_a_string_that_looks_like_the_user_elsewhere_is_not_the_user(
    connection: Connection,
) -> None:
    mine = tenant(connection)
    ended_jobs(
        connection, mine, request='{"messages":[{"user":"u1"}],"note":"\\"user\\":\\"u1\\""}'
    )
    ended_jobs(connection, mine, request='{"user":null}')
    [escaped] = ended_jobs(
        connection, mine, request='{"a":"\\u0000\\\\u0000","user":"\\u0075\\u0031"}'
    )
    assert kept(connection, mine, user="u1") == [escaped]


def test_jobs_are_told_apart_by_what_is_left_of_them(connection: Connection, wire: Wire) -> None:
    mine = tenant(connection)
    ids = ended_jobs(connection, mine, 4)
    admit(connection, mine, 2)
    forget(connection, wire, ids[:1], ME)
    forget(connection, wire, ids[1:2], "job_other")
    [page] = pages(connection, mine, app_id="tests")
    assert (page.kept, page.deleted, page.earlier, page.open) == (ids[2:], ids[:1], 1, 2)


def test_pages_join_to_the_whole(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tenant(connection)
    ids = ended_jobs(connection, mine, 7)
    monkeypatch.setattr(store, "PAGE", 2)
    found = pages(connection, mine, user="u1")
    assert [len(page.kept) for page in found] == [2, 2, 2, 1]
    assert [job_id for page in found for job_id in page.kept] == ids


def test_what_was_admitted_after_the_deletion_is_not_meant(connection: Connection) -> None:
    mine = tenant(connection)
    [before] = ended_jobs(connection, mine)
    made_s = database_now(connection)
    ended_jobs(connection, mine)
    page = matching(connection, mine, ME, made_s, Selection(app_id="tests"), None)
    assert page.kept == [before]


def test_a_deletion_is_not_itself_content(connection: Connection) -> None:
    mine = tenant(connection)
    draft = deletion_draft(Selection(user="u1"), mine, key_id="k", app_id="tests", backlog=9)
    assert jobs.admit_group(connection, [draft]) == ["admitted"]
    [page] = pages(connection, mine, app_id="tests")
    assert (page.kept, page.open) == ([], 0)


def due(connection: Connection, days: int = 30) -> dict[str, Selection]:
    return dict(retention_due(connection, days))


def test_each_tenant_keeps_content_for_its_own_time(connection: Connection) -> None:
    short, usual, empty = (tenant(connection) for _ in range(3))
    connection.execute("UPDATE tenant SET retention_days = 2 WHERE id = %s", (short,))
    for one in (short, usual):
        ended_jobs(connection, one, age_s=10 * DAY)
    now = database_now(connection)
    found = due(connection)
    assert set(found) == {short}
    assert found[short].reason == "retention"
    assert found[short].before == pytest.approx(now - 2 * DAY, abs=5)
    assert kept(connection, short, before=found[short].before)
    assert set(due(connection, days=9)) == {short, usual}
    assert empty not in due(connection, days=1)
    row = connection.execute(
        "SELECT swept_to > now() - interval '25 hours' FROM tenant WHERE id = %s", (empty,)
    ).fetchone()
    assert row == (True,), "what has been looked at is noted"


def test_a_tenant_whose_last_sweep_is_open_is_passed_over(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    for one in (mine, other):
        ended_jobs(connection, one, age_s=40 * DAY)
    for one, key in ((mine, RETENTION_KEY), (other, "key_of_client")):
        draft = deletion_draft(Selection(before=1.0), one, key_id=key, app_id="a", backlog=9)
        assert jobs.admit_group(connection, [draft]) == ["admitted"]
    assert set(due(connection)) == {other}


def test_what_was_swept_is_not_looked_at_again(connection: Connection) -> None:
    mine = tenant(connection)
    ended_jobs(connection, mine, age_s=40 * DAY)
    selection = due(connection)[mine]
    assert (selection.since, selection.before is not None) == (None, True)
    mark_swept(connection, mine, database_now(connection) - 31 * DAY)
    assert due(connection) == {}
    mark_swept(connection, mine, 0)
    assert due(connection) == {}, "a mark never moves back"
    ended_jobs(connection, mine, age_s=29.5 * DAY)
    again = due(connection, days=29)[mine]
    assert again.since is not None
    assert again.since < (again.before or 0)


def test_deletions_are_listed_newest_first_and_by_tenant(connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    ids = []
    for owner in (mine, mine, other, mine):
        draft = deletion_draft(Selection(user="u"), owner, key_id="k", app_id="a", backlog=9)
        assert jobs.admit_group(connection, [draft]) == ["admitted"]
        ids += [draft.id] if owner == mine else []
    ended_jobs(connection, mine)
    newest = sorted(ids, reverse=True)
    assert [row.id for row in deletions(connection, mine, None, 10)] == newest
    assert [row.id for row in deletions(connection, mine, None, 2)] == newest[:2]
    assert [row.id for row in deletions(connection, mine, newest[1], 10)] == newest[2:]
