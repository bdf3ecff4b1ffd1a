"""Endpoints, events and deliveries of webhooks (Standard Webhooks 1.0,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson

EventName = Literal[
    "batch.completed", "batch.failed", "batch.expired", "batch.cancelled",
    "response.completed", "response.failed", "response.cancelled", "response.incomplete",
    "job.completed", "job.failed", "job.cancelled", "job.expired",
    "budget.soft_limit_reached",
]  # fmt: skip
EVENTS: tuple[EventName, ...] = get_args(EventName)
"""What an endpoint may ask to be told. Those of batches and responses are OpenAI's; a job is one in
the background that is neither a response nor a line of a batch."""

TEST_EVENT = "webhook.test"

OBJECTS: dict[str, str] = {
    **{name: name.partition(".")[0] for name in EVENTS},
    TEST_EVENT: "webhook_endpoint",
}
"""What the id in an event's data names."""

Kind = Literal["events", "jobs"]
"""What an endpoint is told of: the events that it asks for, or those of the jobs that named an
address of its origin themselves (`webhook_url`)."""

State = Literal["waiting", "delivered", "dead"]

ENDPOINTS_MAX = 20
"""Endpoints of a tenant, beside those of its jobs."""

SECRET_BYTES = 32

RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds between attempts: the first rows of the example schedule of Standard Webhooks 1.0
("Deliverability and reliability"), 31 and a half hours in all."""

ATTEMPTS_KEPT = 24
"""Attempts of a delivery that are told of: those of three sendings, if it is replayed."""

BREAKER_FAILURES = 5
"""Failures in a row from which an endpoint's deliveries wait."""

PAUSE_S = 30.0
PAUSE_MAX_S = 900.0
"""How long they wait before one of them is tried again: doubled each time that it fails too."""

GIVE_UP_S = 86_400.0
"""How long a delivery may be held up beyond its time by others' failures before it is dead."""

OVERLAP_S = 86_400
OVERLAP_MAX_S = 7 * 86_400
"""How long an old secret signs beside the new one."""

JITTER = 0.1
"""Each wait is longer or shorter by up to this part, so that what failed together does not come
back together."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant is told of `events`; of kind `jobs`, the receivers of an origin that jobs
    named themselves. Its secret stays in the store. `failures`: how many deliveries failed in a
    row; `paused_until`: from when one is tried again, None where none are held up."""

    id: str
    kind: Kind
    url: str
    description: str
    events: list[str]
    created_at: datetime
    disabled_at: datetime | None
    old_until: datetime | None = None
    failures: int = 0
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint, or to `url` in its place. `next_at`: the next attempt,
    None once it has ended; `status`: HTTP's of the last attempt, None if there was no answer;
    `attempt_list`: what is known of each attempt, as JSON."""

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
    url: str | None = None
    attempt_list: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that its claimer sends now: its `attempt`, of which `spent` came before it was
    last replayed, where to, and what. `secrets` are sealed, and each of them signs; `sent_at` is
    the database's time. `own`: it goes to an address that a job named, not to an endpoint's."""

    id: str
    attempt: int
    spent: int
    endpoint_id: str
    url: str
    own: bool
    secrets: list[str]
    event_id: str
    event_type: str
    data: str
    happened_at: datetime
    sent_at: datetime

    @property
    def body(self) -> bytes:
        """The thin payload, the same at every attempt: OpenAI's, with the time as Standard Webhooks
        has it and what the id names."""
        payload = {
            "id": self.event_id,
            "object": "event",
            "created_at": int(self.happened_at.timestamp()),
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


@dataclass(frozen=True, slots=True)
class JobSecret:
    """What signs the webhooks of a tenant's jobs, sealed. `old_until`: how long the one before
    signs too."""

    secret: str
    created_at: datetime
    old_until: datetime | None


def new_secret() -> str:
    """A secret that signs, as Standard Webhooks spells one."""
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def pause_s(failures: int) -> float | None:
    """Seconds for which an endpoint's deliveries wait after so many failures in a row; None if they
    do not."""
    if failures < BREAKER_FAILURES:
        return None
    return min(PAUSE_S * 2.0 ** min(failures - BREAKER_FAILURES, 16), PAUSE_MAX_S)


def wait_s(attempt: int) -> int | None:
    """Seconds until the attempt after `attempt`, counted from 1; None: that was the last."""
    return RETRY_S[attempt - 1] if attempt <= len(RETRY_S) else None
