"""What a tenant manages: keys, apps, content, webhooks; and who is signed in."""

from typing import Any, Literal

from app.web.openapi.jobs import Job
from app.web.openapi.money import Deleted
from app.web.openapi.operation import Operation, PageQuery, Room, Told
from app.web.schemas.accounts import (
    KeyChangeBody,
    NewAppBody,
    NewKeyBody,
    NewProviderKeyBody,
    NothingBody,
    RotateBody,
    SignInBody,
)
from app.web.schemas.data import DeletionRequest
from app.web.schemas.webhooks import (
    EndpointChangeBody,
    NewEndpointBody,
    ReplayBody,
    RotateSecretBody,
)


class Limits(Told):
    """What is allowed at most; null where there is no bound of its own."""

    requests_per_minute: int | None
    tokens_per_day: int | None
    sessions: int | None


class Key(Told):
    """A key. `key`, the secret, is there only in the answer that made it."""

    id: str
    object: Literal["api_key"]
    key: str = ""
    name: str
    prefix: str
    mode: Literal["live", "test"]
    scopes: list[str]
    app_id: str | None
    limits: Limits
    created_at: int
    created_by: str | None
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    rotated_to: str | None


class App(Told):
    """An app of a tenant."""

    id: str
    object: Literal["app"]
    name: str
    created_at: int


class AuditEntry(Told):
    """A change: who made it, and what it was."""

    id: str
    object: Literal["audit_entry"]
    created_at: int
    actor: str | None
    tenant_id: str | None
    action: str
    target: str | None
    detail: dict[str, Any] | None


AUDIT = Operation("Who changed what, newest first", AuditEntry, True, query=PageQuery)

KEYS = Room("Keys and apps", {
    "list_keys": Operation("The tenant's keys", Key, True, query=PageQuery),
    "create_key": Operation("A new key, its secret shown this once", Key, status=201,
                            takes=NewKeyBody),
    "get_key": Operation("A key", Key),
    "change_key": Operation("Change a key", Key, takes=KeyChangeBody),
    "rotate_key": Operation("A new key in the place of one", Key, status=201, takes=RotateBody,
                            refuses=(409,)),
    "revoke_key": Operation("Revoke a key", Key),
    "list_apps": Operation("The tenant's apps", App, True, query=PageQuery),
    "create_app": Operation("A new app", App, status=201, takes=NewAppBody, refuses=(409,)),
    "get_app": Operation("An app", App),
    "list_audit": AUDIT,
})  # fmt: skip


class ProviderKey(Told):
    """A key of a provider that the tenant brings itself; never the key."""

    id: str
    object: Literal["provider_key"]
    provider: str
    hint: str
    created_at: int


PROVIDER_KEYS = Room("Providers' keys", {
    "list_keys": Operation("The providers' keys that the tenant has brought", ProviderKey, True,
                           query=PageQuery),
    "bring": Operation("Bring a key of a provider", ProviderKey, status=201,
                       takes=NewProviderKeyBody, refuses=(409,)),
    "remove": Operation("Remove a key of a provider", Deleted),
})  # fmt: skip

DATA = Room("Content", {
    "list_deletions": Operation("Deletions, newest first", Job, True, query=PageQuery),
    "create_deletion": Operation("Delete content, as a job", Job, status=202,
                                 takes=DeletionRequest),
    "get_deletion": Operation("A deletion and its proof", Job),
})  # fmt: skip


class Breaker(Told):
    """Whether deliveries wait, since so many failed in a row; `retry_at`: until when."""

    state: Literal["closed", "open", "half_open"]
    failures: int
    retry_at: int | None


class Endpoint(Told):
    """Where a tenant is told of its events. `secret` is there only in the answer that made it."""

    id: str
    object: Literal["webhook_endpoint"]
    kind: Literal["events", "jobs"]
    url: str
    name: str
    description: str
    events: list[str]
    event_types: list[str]
    status: Literal["enabled", "disabled"]
    breaker: Breaker
    old_secret_until: int | None
    created_at: int
    disabled_at: int | None
    secret: str = ""
    signing_secret: str = ""


class DeliveryAttempt(Told):
    """How an attempt of a delivery ended: an HTTP status, or none and an error."""

    attempt: int
    started_at: int
    response_status: int | None
    error: str | None


class Delivery(Told):
    """An event on its way to an endpoint."""

    id: str
    object: Literal["webhook_delivery"]
    event_id: str
    event_type: str
    url: str | None
    status: Literal["waiting", "delivered", "dead"]
    attempts: int
    attempt_list: list[DeliveryAttempt]
    next_attempt_at: int | None
    response_status: int | None
    error: str | None
    created_at: int
    ended_at: int | None


class WebhookSecret(Told):
    """What signs the webhooks of jobs that name their receivers themselves."""

    object: Literal["webhook_secret"]
    secret: str
    created_at: int
    old_secret_until: int | None


class Replay(Told):
    """How many deliveries are sent once more, and whether there are more of them."""

    object: Literal["webhook_replay"]
    endpoint_id: str
    replayed: int
    has_more: bool


class DeliveriesQuery(PageQuery):
    """Which deliveries."""

    status: Literal["waiting", "delivered", "dead"] = "waiting"


WEBHOOKS = Room("Webhooks", {
    "list_endpoints": Operation("Webhook endpoints", Endpoint, True, query=PageQuery),
    "create_endpoint": Operation("A new endpoint, with its secret", Endpoint, status=201,
                                 takes=NewEndpointBody, refuses=(409,)),
    "get_endpoint": Operation("An endpoint", Endpoint),
    "change_endpoint": Operation("Change an endpoint", Endpoint, takes=EndpointChangeBody),
    "delete_endpoint": Operation("Delete an endpoint", Deleted),
    "test_endpoint": Operation("Send a test event", Delivery, status=202,
                               takes=NothingBody),
    "list_deliveries": Operation("What was sent, and what became of it", Delivery, True,
                                 query=DeliveriesQuery),
    "rotate_secret": Operation("A new secret; the old one signs beside it for a while", Endpoint,
                               takes=RotateSecretBody, refuses=(409,)),
    "get_job_secret": Operation("What signs the webhooks of jobs", WebhookSecret),
    "rotate_job_secret": Operation("A new secret for the webhooks of jobs", WebhookSecret,
                                   takes=RotateSecretBody, refuses=(409,)),
})  # fmt: skip

REPLAYS = Room("Webhooks", {
    "replay_delivery": Operation("Send a delivery once more", Delivery, status=202,
                                 takes=NothingBody, refuses=(409,)),
    "replay_deliveries": Operation("Send many deliveries once more", Replay, status=202,
                                   takes=ReplayBody, refuses=(409,)),
})  # fmt: skip


class User(Told):
    """A user of the console."""

    id: str
    object: Literal["user"]
    tenant_id: str
    email: str
    role: Literal["admin", "owner", "member", "viewer"]
    created_at: int
    disabled_at: int | None


class Me(Told):
    """Who calls: tenant, key or user, scopes and limits."""

    object: Literal["me"]
    tenant: dict[str, Any]
    key: Key | None
    user: User | None
    scopes: list[str]
    mode: Literal["live", "test"]
    app_id: str | None
    limits: Limits


class Session(Told):
    """A session, whose token is a key of twelve hours."""

    object: Literal["session"]
    token: str
    expires_at: int
    scopes: list[str]
    user: User


class EndedSession(Told):
    """A session that has ended."""

    object: Literal["session"]
    ended: Literal[True]


SESSIONS = Room("Who I am", {
    "create_session": Operation("Sign in", Session, status=201, takes=SignInBody,
                                refuses=(401, 429)),
})  # fmt: skip
SESSION = Room("Who I am", {
    "end_session": Operation("Sign out", EndedSession, refuses=(404,)),
    "who_am_i": Operation("Tenant, key or user, scopes and limits", Me),
})  # fmt: skip
