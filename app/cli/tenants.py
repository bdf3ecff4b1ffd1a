"""`moonpool tenants`."""

from dataclasses import asdict
from typing import Any

import click

from app.accounts.bounds import CAP_MAX, SESSIONS_MAX
from app.accounts.tenants import TenantRow, change_tenant, create_tenant, find_tenant, list_tenants
from app.catalogue.load import catalogue
from app.cli import options
from app.cli.credit import Amount
from app.cli.show import show_json, show_table
from app.ledger.store import balance
from app.money import usd_text
from app.settings import settings
from app.stack.failure import StackError

PAGE = 10_000
CAP = click.IntRange(0, CAP_MAX)


@click.group()
def tenants() -> None:
    """Make, list and change tenants: tier, limits, postpaid credit, retention.

    \b
    Examples:
      moonpool tenants create acme --tier starter
      moonpool tenants set acme --requests-per-minute 120 --retention-days 7
      moonpool tenants set acme --postpaid-limit 500
      moonpool tenants set acme --disable
      moonpool tenants list
    """


def _tier(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in (tiers := catalogue(settings()).tiers):
        raise click.BadParameter(f"no tier is named {value}; there are {', '.join(tiers)}")
    return value


tier = click.option("--tier", callback=_tier, help="Tier of the catalogue.")


@tenants.command()
@click.argument("name", type=options.NAME)
@tier
@options.as_json
@options.data_dir
def create(name: str, tier: str | None, as_json: bool) -> None:
    """Make a tenant with an empty wallet.

    Exit codes: 0 made, 1 the name is taken, 2 no such tier, 3 Postgres does not answer.
    """
    chosen = tier or catalogue(settings()).default_tier
    with options.database() as connection:
        if find_tenant(connection, name) is not None:
            raise StackError(f"there is a tenant {name} already")
        tenant_id = create_tenant(connection, name, tier=chosen)
    if as_json:
        show_json({"id": tenant_id, "name": name, "tier": chosen})
    else:
        click.echo(tenant_id)


@tenants.command("list")
@options.as_json
@options.data_dir
def list_command(as_json: bool) -> None:
    """List all tenants, oldest first. An empty limit is the tier's."""
    with options.database() as connection:
        rows = list_tenants(connection, None, PAGE)
        wallets = {row.id: balance(connection, row.id) for row in rows}
    if as_json:
        show_json([asdict(r) | {"wallet_nanos": wallets[r.id].wallet} for r in rows])
        return
    show_table(
        ("id", "name", "tier", "requests/min", "tokens/day", "sessions", "wallet", "disabled"),
        [(*_limits(row), usd_text(wallets[row.id].wallet), row.disabled_at) for row in rows],
    )


def _limits(row: TenantRow) -> tuple[object, ...]:
    return row.id, row.name, row.tier, row.requests_per_minute, row.tokens_per_day, row.sessions


@tenants.command("set")
@click.argument("tenant")
@tier
@click.option("--name", type=options.NAME, help="A new name.")
@click.option("--requests-per-minute", type=CAP, help="0: the tier's.")
@click.option("--tokens-per-day", type=CAP, help="0: the tier's.")
@click.option("--sessions", type=click.IntRange(0, SESSIONS_MAX), help="0: the tier's.")
@click.option("--retention-days", type=click.IntRange(0, 3650), help="0: the server's setting.")
@click.option("--postpaid-limit", "overdraft", type=str, help="Dollars it may owe; 0: prepaid.")
@click.option("--disable/--enable", "disabled", default=None, help="Refuse its keys, or not.")
@options.as_json
@options.data_dir
def set_command(tenant: str, as_json: bool, **given: Any) -> None:
    """Change a tenant, named by its name or id. A running web knows within a few seconds.

    Exit codes: 0 changed, 1 there is no such tenant, or it owes more than the new limit, 2 a wrong
    value, 3 Postgres does not answer.
    """
    changes = {name: value or None for name, value in given.items() if value is not None}
    if given["disabled"] is not None:
        changes["disabled"] = given["disabled"]
    if given["overdraft"] is not None:
        zero = given["overdraft"] == "0"
        changes["overdraft"] = 0 if zero else Amount().convert(given["overdraft"], None, None)
    if not changes:
        raise click.UsageError("nothing to change: name at least one option")
    with options.database() as connection:
        tenant_id = find_tenant(connection, tenant)
        now = change_tenant(connection, tenant_id, changes) if tenant_id else None
    if now is None:
        raise StackError(f"no tenant {tenant}; `moonpool tenants list` shows them")
    if as_json:
        show_json(asdict(now))
    else:
        click.echo(f"changed {now.id}: {', '.join(sorted(changes))}")
