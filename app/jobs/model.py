"""A job's states and the ways between them, and the records that pass along the job line."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from app.ids import new_id

Lane = Literal["interactive", "background", "batch", "system"]

Kind = Literal[
    "chat.completion", "text_completion", "response", "message", "embedding", "image",
    "transcription",
]  # fmt: skip
"""What an inference job answers with. All up to `message` are conversations: they are run, kept and
told as chat completions, and their doors put them into their own form."""

KINDS: frozenset[str] = frozenset(get_args(Kind))

CONTEXT = ("routing", "emotion_state", "memory", "url_references", "web_chat", "debug")
"""What an answer tells, beside its choices, of what shaped it."""

Door = Literal["sync", "stream", "background"]
"""How the client waits: for the answer, for a stream of it, or not at all."""

State = Literal[
    "scheduled", "queued", "running", "completed", "failed", "cancelled", "expired"
]  # fmt: skip
EndState = Literal["completed", "failed", "cancelled", "expired"]
END_STATES: frozenset[str] = frozenset({"completed", "failed", "cancelled", "expired"})

TRANSITIONS: dict[str, frozenset[str]] = {
    "scheduled": frozenset({"queued", "cancelled"}),
    "queued": frozenset({"running", "cancelled", "expired"}),
    "running": frozenset({"completed", "failed", "cancelled", "queued", "scheduled"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
}

STATUS = {
    "scheduled": "queued", "queued": "queued", "running": "in_progress",
    **{state: state for state in END_STATES},
}  # fmt: skip
"""How the API spells a state."""

MAX_STRIKES = 3
"""A job whose attempts were lost or cut this often fails: it may be what kills its worker."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What few jobs have. Times are unix seconds: the job does not run before `run_at_s`, and is
    not begun after `not_after_s`. `retry_of`: the job that it is made again out of; `force`:
    although that is done already. `webhook_url` is told of its end."""

    run_at_s: float | None = None
    not_after_s: float | None = None
    retry_of: str | None = None
    force: bool = False
    webhook_url: str | None = None


@dataclass(slots=True)
class Draft:
    """A job on its way to admission. `hold`: nano-dollars; `deadline_s`: seconds from then.

    `reserved`: tokens taken from the day's limit; `session`: the named session whose lease it
    shares; `store`: whether the content is kept once it has been delivered.
    """

    id: str
    tenant_id: str
    key_id: str
    app_id: str
    kind: str
    lane: Lane
    door: Door
    model: str
    request: str
    metadata: str | None
    hold: int
    deadline_s: float
    backlog: int
    path: str = ""
    idempotency_key: str | None = None
    body_hash: str | None = None
    reserved: int = 0
    session: str | None = None
    holds_session: bool = False
    store: bool = True
    plan: Plan | None = None


def chore_draft(
    kind: str,
    request: str,
    tenant_id: str,
    *,
    key_id: str,
    app_id: str,
    lane: Lane,
    deadline_s: float,
    backlog: int,
) -> Draft:
    """A job that asks no provider and costs nothing; `request` is JSON for the chore of `kind`."""
    return Draft(
        id=new_id("job"),
        tenant_id=tenant_id,
        key_id=key_id,
        app_id=app_id,
        kind=kind,
        lane=lane,
        door="background",
        model="",
        request=request,
        metadata=None,
        hold=0,
        deadline_s=deadline_s,
        backlog=backlog,
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a job has reserved of its tenant's and key's limits, to be corrected when it ends, and
    its last attempt."""

    job_id: str
    tenant_id: str
    key_id: str
    reserved: int
    session: str | None
    holds_session: bool
    created_s: float
    attempt: int


@dataclass(slots=True)
class Claimed:
    """A job in the hands of a worker. `age_ms`: since admission; `left_s`: until its deadline;
    `batch_id`: the batch of which it is a line."""

    id: str
    attempt: int
    strikes: int
    tenant_id: str
    kind: str
    door: Door
    model: str
    request: str
    hold: int
    created_s: float
    age_ms: float
    left_s: float
    key_id: str = ""
    reserved: int = 0
    session: str | None = None
    holds_session: bool = False
    batch_id: str | None = None

    @property
    def reservation(self) -> Reservation:
        return Reservation(
            self.id, self.tenant_id, self.key_id, self.reserved, self.session, self.holds_session,
            self.created_s, self.attempt,
        )  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """How an attempt ended its job. JSON fields are text; `cost` is nano-dollars.

    `price`: the price version that `cost` was reckoned with. `owed`: what the attempt owes each
    provider it called, nano-dollars by provider, whoever pays. `billed`: JSON of what `cost` holds
    beside tokens at their full price (`images`, `seconds`, `share` in millionths), if anything.
    """

    id: str
    attempt: int
    state: EndState
    last_seq: int
    body: str | None
    error: str | None
    usage: str | None
    cost: int
    calls: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    provider: str | None = None
    price: str | None = None
    owed: dict[str, int] = field(default_factory=dict)
    billed: str | None = None


@dataclass(frozen=True, slots=True)
class HandedBack:
    """An attempt that ended without ending its job. `calls` is JSON; `owed` as in Outcome.
    `later_s`: it found no place to begin at, and its job waits for so many seconds."""

    id: str
    attempt: int
    calls: str | None
    owed: dict[str, int] = field(default_factory=dict)
    later_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a tenant, in any of `states` and admitted from `since_s` until before
    `until_s`, in unix seconds. None: any. `again`: only what may be made again: inference with its
    content, but no lines of batches; `new`: and only what is not made again yet."""

    states: tuple[str, ...] | None = None
    error_code: str | None = None
    model: str | None = None
    kind: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    again: Literal["new", "any"] | None = None

    def kinds(self) -> list[str] | None:
        """The kinds that are wanted, None for any."""
        if self.again is None:
            return None if self.kind is None else [self.kind]
        return [kind for kind in KINDS if self.kind in (None, kind)]


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as its owner sees it. Times are unix seconds; `request` is there for the kinds whose
    answer is shown with parts of it. `retry_of`: the job that it was made again out of;
    `retried_by`: the last that was made again out of it, where it has not completed."""

    id: str
    tenant_id: str
    kind: str
    lane: str
    door: str
    model: str
    metadata: Any
    state: State
    attempt: int
    last_seq: int
    owner: str | None
    cancel: bool
    created_s: float
    started_s: float | None
    finished_s: float | None
    body: str | None
    error: Any
    usage: Any
    queue_position: int | None
    key_id: str
    app_id: str
    store: bool
    forgotten_s: float | None
    cost: int | None
    request: str | None = None
    run_at_s: float | None = None
    not_after_s: float | None = None
    retry_of: str | None = None
    retried_by: str | None = None
