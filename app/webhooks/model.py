"""Endpoints, events and deliveries of webhooks (Standard Webhooks 1.0,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

import orjson

EventName = Literal["budget.soft_limit_reached"]
EVENTS: tuple[EventName, ...] = get_args(EventName)
"""What an endpoint may ask to be told."""

TEST_EVENT = "webhook.test"

OBJECTS: dict[str, str] = {
    "budget.soft_limit_reached": "budget",
    TEST_EVENT: "webhook_endpoint",
}
"""What the id in an event's data names."""

State = Literal["waiting", "delivered", "dead"]

ENDPOINTS_MAX = 20
"""Endpoints of a tenant."""

RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds between attempts: the first rows of the example schedule of Standard Webhooks 1.0
("Deliverability and reliability"), 31 and a half hours in all."""

JITTER = 0.1
"""Each wait is longer or shorter by up to this part, so that what failed together does not come
back together."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant is told of `events`. Its secret stays in the store."""

    id: str
    url: str
    description: str
    events: list[str]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint. `next_at`: the next attempt, None once it has ended;
    `status`: HTTP's of the last attempt, None if there was no answer."""

    id: str
    event_id: str
    event_type: str
    state: State
    attempts: int
    next_at: datetime | None
    status: int | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that its claimer sends now: its `attempt`, where to, and what. `secret` is sealed;
    `sent_at` is the database's time."""

    id: str
    attempt: int
    endpoint_id: str
    url: str
    secret: str
    event_id: str
    event_type: str
    data: str
    happened_at: datetime
    sent_at: datetime

    @property
    def body(self) -> bytes:
        """The thin payload, the same at every attempt."""
        payload = {
            "type": self.event_type,
            "timestamp": self.happened_at.astimezone(UTC),
            "data": {**orjson.loads(self.data), "object": OBJECTS[self.event_type]},
        }
        return orjson.dumps(payload, option=orjson.OPT_UTC_Z)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: an HTTP status, or None and an `error`."""

    status: int | None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status <= 299

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more: 410."""
        return self.status == 410


def wait_s(attempt: int) -> int | None:
    """Seconds until the attempt after `attempt`, counted from 1; None: that was the last."""
    return RETRY_S[attempt - 1] if attempt <= len(RETRY_S) else None
