"""`moonpool jobs` over a database."""

import json
from collections.abc import Callable, Iterator

import pytest

from app.cli.main import main
from app.db.connect import Connection
from app.jobs import store
from app.redis import Wire
from app.settings import Settings, settings
from tests.app.conftest import (
    books,
    connection,
    gevent_sockets,
    line_database,
    line_settings,
    wire,
)
from tests.app.line import assert_proven, claim_one, outcome, running, tenant

__all__ = ["books", "connection", "gevent_sockets", "line_database", "line_settings", "wire"]


@pytest.fixture
def here(
    line_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    chosen = line_settings()
    for name in ("database_url", "redis_url", "data_dir"):
        monkeypatch.setenv(f"MOONPOOL_{name.upper()}", str(getattr(chosen, name)))
    settings.cache_clear()
    yield chosen
    settings.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["jobs", *args])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


def dead(connection: Connection, tenant_id: str) -> str:
    job = running(connection, tenant_id)
    told = outcome(job, 0, "failed")
    told.error = '{"message":"no","code":"all_providers_failed"}'
    store.settle_group(connection, "wrk_a", [told])
    return job.id


def test_dead_letters_are_listed_and_made_again(
    here: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tenant(connection)
    ids = [dead(connection, mine) for _ in range(3)]
    dead(connection, tenant(connection))
    code, out, _ = run(capsys, "list", "--tenant", mine, "--error-code", "all_providers_failed")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()[1:]} == set(ids)
    code, out, _ = run(capsys, "retry", ids[0], "--tenant", mine, "--json")
    [done] = json.loads(out)
    assert (code, done["job_id"], done["refused"]) == (0, ids[0], None)
    assert claim_one(connection, lane="background").id == done["made"]
    code, out, _ = run(capsys, "retry", "--tenant", mine, "--json")
    assert (code, {one["job_id"] for one in json.loads(out)}) == (0, set(ids[1:]))
    _, out, _ = run(capsys, "list", "--tenant", mine, "--json")
    assert all(row["retried_by"] for row in json.loads(out))
    assert_proven(connection)


def test_each_run_makes_the_next_ones_again(
    here: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tenant(connection)
    ids = [dead(connection, mine) for _ in range(3)]
    told = []
    for _ in range(3):
        _, out, _ = run(capsys, "retry", "--tenant", mine, "--limit", "1", "--json")
        told += [one["job_id"] for one in json.loads(out)]
    assert told == ids[::-1]


def test_an_id_that_is_none_stops_no_other(
    here: Settings, connection: Connection, capsys: pytest.CaptureFixture[str], wire: Wire
) -> None:
    mine = tenant(connection)
    ids = [dead(connection, mine) for _ in range(2)]
    code, out, err = run(capsys, "retry", ids[0], "none", ids[1], "--tenant", mine, "--json")
    told = [(one["job_id"], one["made"] is not None) for one in json.loads(out)]
    assert told == [(ids[0], True), ("none", False), (ids[1], True)]
    assert (code, "1 of 3" in err) == (1, True)
    assert wire.call(("LLEN", "background")) == [1]


def test_what_is_refused_is_told_and_ends_with_1(
    here: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tenant(connection)
    job_id = dead(connection, mine)
    assert run(capsys, "retry", job_id, "--tenant", mine)[0] == 0
    code, out, err = run(capsys, "retry", job_id, "--tenant", mine)
    assert (code, "made again already" in out, "1 of 1" in err) == (1, True, True)
    assert run(capsys, "retry", job_id, "--tenant", mine, "--force")[0] == 0
    theirs = tenant(connection)
    code, out, _ = run(capsys, "retry", job_id, "--tenant", theirs)
    assert (code, f"no job {job_id}" in out) == (1, True)
    assert run(capsys, "list", "--tenant", "nobody")[0] == 1
    assert run(capsys, "list", "--since", "soon")[0] == 2
