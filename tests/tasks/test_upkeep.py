"""What beat sends by the calendar, called as a worker calls it."""

from collections.abc import Callable
from contextlib import closing

import pytest

from app.db.connect import connect
from app.db.reads import Reads
from app.files.service import Files
from app.settings import Settings
from tasks import upkeep
from tests.app.files.parts import lying, rows, text
from tests.app.line import tenant


def test_files_that_have_expired_are_swept(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for()
    monkeypatch.setattr(upkeep, "settings", lambda: settings)
    with connect(settings.postgres) as connection, closing(Reads(settings.postgres, "x")) as reads:
        files, mine = Files(reads, settings), tenant(connection)
        expired, kept = text(files, mine, expires_s=3600), text(files, mine)
        connection.execute("UPDATE file SET expires_at = now() WHERE id = %s", (expired,))
        upkeep.sweep_files()
        assert list(rows(connection)) == lying(files) == [kept]
        connection.execute("UPDATE file SET expires_at = now()")
        away = settings_for(s3_bucket="moon", s3_endpoint="http://127.0.0.1:1", s3_region="x")
        monkeypatch.setattr(upkeep, "settings", lambda: away)
        upkeep.sweep_files()
        assert rows(connection) == {kept: "leaving"}, "it is left to the next sweep"
