"""`moonpool router`, where it asks the database, and the nightly task that learns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main
from app.db.connect import Connection, connect
from app.settings import settings
from app.uniroute import store
from app.uniroute.model import Seen
from app.uniroute.profile import default_profile, with_prices, write_profile
from app.uniroute.shelf import shipped
from tasks.router import learn_routing
from tests.app.line import tenant
from tests.app.uniroute.test_store import rated

OWN = shipped()[0]


@pytest.fixture
def connection(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to the database of this process's settings."""
    monkeypatch.setenv("MOONPOOL_DATABASE_URL", database)
    settings.cache_clear()
    with connect(database) as made:
        yield made
    settings.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["router", *args])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def told(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    code, out, err = run(capsys, *args, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_profile_is_pushed_activated_and_rolled_back(
    connection: Connection, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    profile = default_profile()
    file = tmp_path / "profile.json"
    write_profile(with_prices(profile, profile.usd * 2, "twice"), file)
    pushed = told(capsys, "push", str(file))
    assert (pushed["new"], told(capsys, "push", str(file))["new"]) == (True, False)
    version = pushed["version"]
    states = {one["version"]: one["state"] for one in told(capsys, "profiles")}
    assert states == {version: "", OWN: "active"}
    told(capsys, "activate", version)
    assert store.active_version(connection) == version
    told(capsys, "activate", OWN)
    assert store.active_version(connection) is None
    assert told(capsys, "rollback")["version"] == version
    assert told(capsys, "rollback")["version"] == OWN
    assert run(capsys, "rollback")[0] == 1
    code, _, err = run(capsys, "activate", "nothing")
    assert (code, err) == (1, "moonpool: There is no profile 'nothing'.\n")
    rows = connection.execute("SELECT action FROM audit WHERE action LIKE 'router.%' ORDER BY seq")
    actions = [action.removeprefix("router.") for (action,) in rows]
    assert actions == ["push", "activate", "activate", "rollback", "rollback"]


def test_feedback_is_learned_by_hand_or_each_night(
    connection: Connection, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capsys, "learn") == {"version": None, "lessons": 0}
    mine = tenant(connection)
    rated(connection, mine, -1.0)
    learned = told(capsys, "learn")
    assert (learned["lessons"], learned["new"], learned["active"]) == (1, True, False)
    learn_routing()
    assert store.active_version(connection) is None
    monkeypatch.setenv("MOONPOOL_ROUTER_LEARNS", "true")
    settings.cache_clear()
    learn_routing()
    assert store.active_version(connection) == learned["version"]


def test_what_shadow_mode_saw_is_shown_as_means(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    store.count_seen(connection, {("a", "b"): Seen(4, 1.0, 0.5, 4.0, 0.4)})
    [row] = told(capsys, "shadow")
    assert (row["asked"], row["chosen"], row["requests"]) == ("a", "b", 4)
    assert (row["asked error"], row["chosen cost"]) == (0.25, 0.1)
    assert "asked error" in run(capsys, "shadow")[1]
