"""`moonpool keys`."""

from dataclasses import asdict
from datetime import datetime

import click

from app.accounts.bounds import CAP_MAX, GRACE_MAX_S, LIFE_MAX_DAYS, SESSIONS_MAX
from app.accounts.scopes import SCOPES, granted
from app.accounts.store import KeyRow, NewKey, create_key, list_keys, revoke_key, rotate_key
from app.accounts.tenants import create_tenant, find_tenant
from app.catalogue.load import catalogue
from app.cli import options
from app.cli.show import show_json, show_table
from app.ledger.budgets import pass_on_budgets
from app.settings import settings
from app.stack.failure import StackError

CAP = click.IntRange(1, CAP_MAX)
SESSIONS = click.IntRange(1, SESSIONS_MAX)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    \b
    Examples:
      moonpool keys create --tenant acme --name ci
      KEY=$(moonpool keys create --json | jq -r .key)
      moonpool keys list
      moonpool keys create --tenant acme --test --scopes inference --expires-in-days 30
      moonpool keys rotate key_01jd3x… --grace-seconds 3600
      moonpool keys revoke key_01jd3x…
    """


@keys.command()
@options.tenant
@click.option(
    "--name", type=options.NAME, default="default", show_default=True, help="What the key is for."
)
@click.option("--test", is_flag=True, help="Runs only builtin models and moves no money.")
@click.option(
    "--scopes",
    default="inference,billing,manage",
    show_default=True,
    help=f"With commas: {', '.join(SCOPES)}.",
)
@click.option(
    "--app", "app_id", type=options.APP, help="App of requests that name none in X-App-ID."
)
@click.option("--requests-per-minute", "rpm", type=CAP, help="For this key alone.")
@click.option("--tokens-per-day", "tokens", type=CAP, help="For this key alone.")
@click.option("--sessions", type=SESSIONS, help="For this key alone.")
@click.option(
    "--expires-in-days", "days", type=click.FloatRange(min=0, max=LIFE_MAX_DAYS, min_open=True)
)
@options.as_json
@options.data_dir
def create(
    tenant: str, name: str, test: bool, scopes: str, app_id: str | None, rpm: int | None,
    tokens: int | None, sessions: int | None, days: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a key, and the tenant if there is none of that name. The key is shown this once.

    Exit codes: 0 made, 1 no such scope, 3 Postgres does not answer.
    """
    wanted = granted([scope.strip() for scope in scopes.split(",")], frozenset(SCOPES))
    with options.database() as connection, connection.transaction():
        tenant_id = find_tenant(connection, tenant)
        if tenant_id is None:
            told = click.get_current_context()
            option = next(one for one in told.command.params if one.name == "tenant")
            name_of = options.NAME.convert(tenant, option, told)
            tier = catalogue(settings()).default_tier
            tenant_id = create_tenant(connection, name_of, tier=tier)
        made = create_key(
            connection, tenant_id, name, mode="test" if test else "live", scopes=wanted,
            app_id=app_id, limits=(rpm, tokens, sessions),
            expires_in_s=None if days is None else days * 86_400,
        )  # fmt: skip
    _show_new(made, as_json)


def _show_new(made: NewKey, as_json: bool) -> None:
    if as_json:
        show_json(asdict(made))
        return
    click.echo(made.key)
    click.echo(f"id {made.id}, tenant {made.tenant_id}. It is not shown again.", err=True)


@keys.command()
@click.argument("key_id")
@click.option(
    "--grace-seconds",
    type=click.IntRange(0, GRACE_MAX_S),
    default=0,
    help="How long the old one still works.",
)
@options.as_json
@options.data_dir
def rotate(key_id: str, grace_seconds: int, as_json: bool) -> None:
    """Make a key in the place of another, with the same scopes, limits and budgets.

    Exit codes: 0 made, 1 there is no live key with this id, 3 Postgres does not answer.
    """
    with options.database() as connection, connection.transaction():
        made = rotate_key(connection, key_id, grace_seconds)
        if made is not None:
            pass_on_budgets(connection, made.tenant_id, key_id, made.id)
    if made is None:
        raise StackError(f"no live key {key_id}; `moonpool keys list` shows them")
    _show_new(made, as_json)


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
        ("id", "key", "name", "tenant", "scopes", "created", "last used", "expires", "revoked"),
        [
            (k.id, f"{k.prefix}…", k.name, k.tenant, ",".join(k.scopes), *map(_minute, _moments(k)))
            for k in found
        ],
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
    return key.created_at, key.last_used_at, key.expires_at, key.revoked_at


def _minute(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
