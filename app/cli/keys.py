"""`moonpool keys`."""

from dataclasses import asdict
from datetime import datetime

import click

from app.accounts.store import (
    KeyRow,
    create_key,
    create_tenant,
    find_tenant,
    list_keys,
    revoke_key,
)
from app.cli import options
from app.cli.show import show_json, show_table
from app.stack.failure import StackError


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    \b
    Examples:
      moonpool keys create --tenant acme --name ci
      KEY=$(moonpool keys create --json | jq -r .key)
      moonpool keys list
      moonpool keys revoke key_01jd3x…
    """


@keys.command()
@options.tenant
@click.option("--name", default="default", show_default=True, help="What the key is for.")
@options.as_json
@options.data_dir
def create(tenant: str, name: str, as_json: bool) -> None:
    """Make a key, and the tenant if there is none of that name. The key is shown this once."""
    with options.database() as connection, connection.transaction():
        tenant_id = find_tenant(connection, tenant) or create_tenant(connection, tenant)
        made = create_key(connection, tenant_id, name)
    if as_json:
        show_json(asdict(made))
        return
    click.echo(made.key)
    click.echo(f"id {made.id}, tenant {tenant} ({tenant_id}). It is not shown again.", err=True)


@keys.command("list")
@options.as_json
@options.data_dir
def list_command(as_json: bool) -> None:
    """List all keys, oldest first; of each only its first characters are known."""
    with options.database() as connection:
        found = list_keys(connection)
    if as_json:
        show_json([asdict(row) for row in found])
        return
    show_table(
        ("id", "key", "name", "tenant", "created", "last used", "revoked"),
        [(k.id, f"{k.prefix}…", k.name, k.tenant, *map(_minute, _moments(k))) for k in found],
    )


@keys.command()
@click.argument("key_id")
@options.data_dir
def revoke(key_id: str) -> None:
    """Revoke a key for good. A running web forgets it within MOONPOOL_KEY_CACHE_SECONDS.

    Exit codes: 0 revoked, 1 there is no live key with this id, 3 Postgres does not answer.
    """
    with options.database() as connection:
        if not revoke_key(connection, key_id):
            raise StackError(f"no live key {key_id}; `moonpool keys list` shows them")
    click.echo(f"revoked {key_id}")


def _moments(key: KeyRow) -> tuple[datetime | None, ...]:
    return key.created_at, key.last_used_at, key.revoked_at


def _minute(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
