"""The command and the nightly task that prove the bounds of drift."""

import json
from collections.abc import Iterator

import pytest

from app.cli.main import main
from app.db.connect import Connection, connect
from app.settings import settings
from tasks.evolution import verify_evolution
from tests.app.evolution.parts import less, rate
from tests.app.line import tenant


@pytest.fixture
def moved(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database of this process's settings, where feedback has moved a trait."""
    monkeypatch.setenv("MOONPOOL_DATABASE_URL", database)
    settings.cache_clear()
    with connect(database) as connection:
        rate(connection, tenant(connection), less("curious"))
        yield connection
    settings.cache_clear()


def verified(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int | str | None, str]:
    with pytest.raises(SystemExit) as ended:
        main(["evolution", "verify", *options])
    return ended.value.code, capsys.readouterr().out


def test_bounds_that_hold_are_0_and_a_broken_one_is_1_and_named(
    moved: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verified(capsys) == (0, "the bounds hold\n")
    verify_evolution()
    assert '"level": "error"' not in capsys.readouterr().out
    moved.execute("UPDATE trait_drift SET drift = drift + 1")
    code, told = verified(capsys, "--json")
    assert code == 1
    assert {found["place"] for found in json.loads(told)["findings"]} == {"trait curious"}
    code, told = verified(capsys)
    assert code == 1
    assert told.endswith("2 findings\n")
    verify_evolution()
    assert "trait curious" in "".join(capsys.readouterr())
