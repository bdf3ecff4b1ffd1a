"""What a key may do."""

from collections.abc import Iterable

from app.errors import Forbidden, InvalidRequest

SCOPES: dict[str, str] = {
    "inference": "run completions; read, follow and cancel the tenant's jobs; list models",
    "billing": "read balance, entries, statements, usage and history",
    "manage": "manage the tenant's keys, apps, budgets, webhooks and data",
    "admin": "manage every tenant: the admin API",
}
TENANT_SCOPES = frozenset({"inference", "billing", "manage"})
"""All that a tenant's own key may have."""

ROLES: dict[str, frozenset[str]] = {
    "admin": frozenset(SCOPES),
    "owner": TENANT_SCOPES,
    "member": frozenset({"inference", "billing"}),
    "viewer": frozenset({"billing"}),
}
"""The scopes that a console user's session gets."""


def granted(wanted: Iterable[str], creator: frozenset[str]) -> list[str]:
    """`wanted` in a fixed order. Raises InvalidRequest for a scope that is none, and Forbidden for
    one that the creator does not have itself."""
    asked = set(wanted)
    if unknown := asked - set(SCOPES):
        raise InvalidRequest(
            f"Unknown scope: {', '.join(sorted(unknown))}. There are {', '.join(SCOPES)}.",
            param="scopes",
        )
    if not asked:
        raise InvalidRequest("A key has at least one scope.", param="scopes")
    if beyond := asked - creator:
        raise Forbidden(
            f"A key cannot give a scope that it does not have: {', '.join(sorted(beyond))}.",
            param="scopes",
        )
    return [scope for scope in SCOPES if scope in asked]
