"""How tenants, keys, apps, users and changes to them look to a client. Never a hash or a secret."""

from datetime import datetime
from typing import Any

from app.accounts.apps import AppRow
from app.accounts.audit import AuditEntry
from app.accounts.store import KeyRow
from app.accounts.tenants import TenantRow
from app.accounts.users import UserRow
from app.catalogue.model import Catalogue
from app.money import usd

LIMITS = ("requests_per_minute", "tokens_per_day", "sessions")


def key_object(key: KeyRow, secret: str | None = None) -> dict[str, Any]:
    """A key; with the secret under `key` only where it has just been made. `limits` are its own:
    null where the tenant's alone hold."""
    shown = {} if secret is None else {"key": secret}
    return {
        "id": key.id,
        "object": "api_key",
        **shown,
        "name": key.name,
        "prefix": key.prefix,
        "mode": key.mode,
        "scopes": key.scopes,
        "app_id": key.app_id,
        "limits": {name: getattr(key, name) for name in LIMITS},
        "created_at": unix(key.created_at),
        "created_by": key.created_by,
        "expires_at": unix(key.expires_at),
        "revoked_at": unix(key.revoked_at),
        "last_used_at": unix(key.last_used_at),
        "rotated_to": key.rotated_to,
    }


def app_object(app: AppRow) -> dict[str, Any]:
    """An app of a tenant."""
    return {
        "id": app.id,
        "object": "app",
        "name": app.name,
        "created_at": unix(app.created_at),
    }


def tenant_object(tenant: TenantRow, catalogue: Catalogue) -> dict[str, Any]:
    """A tenant: what is set for it, null where its tier or the settings decide, and under `limits`
    what holds."""
    own = {name: getattr(tenant, name) for name in LIMITS}
    return {
        "id": tenant.id,
        "object": "tenant",
        "name": tenant.name,
        "tier": tenant.tier,
        **own,
        "limits": catalogue.limits_of(tenant.tier).over(**own).model_dump(),
        "retention_days": tenant.retention_days,
        "postpaid_limit_usd": usd(tenant.overdraft),
        "postpaid_limit_nanos": tenant.overdraft,
        "created_at": unix(tenant.created_at),
        "disabled_at": unix(tenant.disabled_at),
    }


def user_object(user: UserRow) -> dict[str, Any]:
    """A user of the console."""
    return {
        "id": user.id,
        "object": "user",
        "tenant_id": user.tenant_id,
        "email": user.email,
        "role": user.role,
        "created_at": unix(user.created_at),
        "disabled_at": unix(user.disabled_at),
    }


def audit_object(entry: AuditEntry) -> dict[str, Any]:
    """A change: who made it, and what it was."""
    return {
        "id": str(entry.seq),
        "object": "audit_entry",
        "created_at": unix(entry.at),
        "actor": entry.actor,
        "tenant_id": entry.tenant_id,
        "action": entry.action,
        "target": entry.target,
        "detail": entry.detail,
    }


def unix(moment: datetime | None) -> int | None:
    """A moment in whole unix seconds."""
    return None if moment is None else int(moment.timestamp())
