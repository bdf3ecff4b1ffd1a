"""The events of a batch while what they are read from fails."""

from typing import Any

import pytest
from psycopg import OperationalError

from app.batches import store
from app.db.connect import Connection
from tests.app.web.batching import AT, body, told
from tests.app.web.doors import Caller


def test_events_go_on_after_the_database_was_away(
    caller: Caller, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.batches.TICK_S", 0.02)
    made = told(caller.post(AT, {"requests": [{"custom_id": "a", "params": body()}]}))
    find, away = store.find, iter((False, True))

    def found(*which: Any) -> Any:
        if next(away, False):
            connection.execute("UPDATE batch SET status = 'cancelled', ended_at = now()")
            raise OperationalError("the server closed the connection unexpectedly")
        return find(*which)

    monkeypatch.setattr(store, "find", found)
    told_all = caller.get(f"{AT}/{made['id']}/events").text
    assert "event: progress" in told_all
    assert "event: cancelled" in told_all
