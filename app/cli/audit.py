"""`moonpool audit`."""

from dataclasses import asdict

import click
import orjson

from app.accounts.audit import audit_page
from app.accounts.tenants import find_tenant
from app.cli import options
from app.cli.show import show_json, show_table
from app.stack.failure import StackError


@click.command()
@click.option("--tenant", help="Name or id of a tenant; without it all.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@options.as_json
@options.data_dir
def audit(tenant: str | None, limit: int, as_json: bool) -> None:
    """Show who changed what, newest first.

    \b
    Examples:
      moonpool audit
      moonpool audit --tenant acme --json

    Exit codes: 0 shown, 1 there is no such tenant, 3 Postgres does not answer.
    """
    with options.database() as connection:
        tenant_id = find_tenant(connection, tenant) if tenant else None
        if tenant and tenant_id is None:
            raise StackError(f"no tenant {tenant}")
        rows = audit_page(connection, tenant_id, None, limit)
    if as_json:
        show_json([asdict(row) for row in rows])
        return
    show_table(
        ("at", "actor", "action", "target", "detail"),
        [(f"{r.at:%Y-%m-%d %H:%M:%S}", r.actor, r.action, r.target, _text(r.detail)) for r in rows],
    )


def _text(detail: object) -> str:
    return "" if detail is None else orjson.dumps(detail).decode()
