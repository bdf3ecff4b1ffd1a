"""Payload and schedule."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.webhooks.model import (
    BREAKER_FAILURES,
    EVENTS,
    OBJECTS,
    PAUSE_MAX_S,
    PAUSE_S,
    RETRY_S,
    TEST_EVENT,
    Outcome,
    Parcel,
    pause_s,
    wait_s,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 500, tzinfo=UTC)


def parcel(happened_at: datetime) -> Parcel:
    return Parcel(
        "whd_1", 1, 0, "whe_1", "https://h/", False, ["sealed"], "evt_1",
        "budget.soft_limit_reached", '{"id": "bud_1"}', happened_at, NOON,
    )  # fmt: skip


def test_the_payload_is_thin_and_says_what_its_id_names() -> None:
    assert parcel(NOON).body == (
        b'{"id":"evt_1","object":"event","created_at":1767355200,'
        b'"type":"budget.soft_limit_reached","timestamp":"2026-01-02T12:00:00.000500Z",'
        b'"data":{"id":"bud_1","object":"budget"}}'
    )


def test_the_payload_does_not_depend_on_the_sessions_time_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert parcel(elsewhere).body == parcel(NOON).body


def test_every_event_says_what_its_id_names() -> None:
    assert set(OBJECTS) == {*EVENTS, TEST_EVENT}


def test_waits_grow_and_span_more_than_a_day() -> None:
    waits = [wait_s(attempt) for attempt in range(1, len(RETRY_S) + 2)]
    assert waits[:3] == [5, 300, 1800]
    assert waits[-1] is None
    assert sorted(RETRY_S) == list(RETRY_S)
    assert 24 <= sum(RETRY_S) / 3600 <= 48


def test_an_endpoint_that_fails_in_a_row_is_left_alone_longer_and_longer() -> None:
    assert [pause_s(failures) for failures in range(BREAKER_FAILURES)] == [None] * BREAKER_FAILURES
    assert pause_s(BREAKER_FAILURES) == PAUSE_S
    assert pause_s(BREAKER_FAILURES + 1) == 2 * PAUSE_S
    assert pause_s(10_000) == PAUSE_MAX_S


@pytest.mark.parametrize(
    ("status", "delivered", "gone"),
    [(200, True, False), (204, True, False), (299, True, False), (199, False, False),
     (300, False, False), (302, False, False), (410, False, True), (500, False, False),
     (None, False, False)],
)  # fmt: skip
def test_only_a_2xx_delivers_and_only_a_410_ends(
    status: int | None, delivered: bool, gone: bool
) -> None:
    outcome = Outcome(status)
    assert (outcome.delivered, outcome.gone) == (delivered, gone)
