"""`moonpool credit`."""

import click

from app.accounts.store import find_tenant
from app.cli import options
from app.cli.show import show_json
from app.ledger.store import add_credit
from app.money import nanos_from_usd, usd, usd_text
from app.stack.failure import StackError


@click.group()
def credit() -> None:
    """Give a tenant credit.

    \b
    Examples:
      moonpool credit add 25
      moonpool credit add 0.50 --tenant acme --json
    """


@credit.command()
@click.argument("amount_usd")
@options.tenant
@options.as_json
@options.data_dir
def add(amount_usd: str, tenant: str, as_json: bool) -> None:
    """Add AMOUNT_USD dollars to a tenant's wallet.

    Exit codes: 0 added, 1 there is no such tenant, 2 not a positive amount, 3 Postgres does not
    answer.
    """
    try:
        nanos = nanos_from_usd(amount_usd)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="AMOUNT_USD") from error
    if nanos <= 0:
        raise click.BadParameter("credit is a positive amount", param_hint="AMOUNT_USD")
    with options.database() as connection:
        tenant_id = find_tenant(connection, tenant)
        if tenant_id is None:
            make = f"moonpool keys create --tenant {tenant}"
            raise StackError(f"no tenant {tenant}; `{make}` makes it")
        after = add_credit(connection, tenant_id, nanos, "moonpool credit add")
    if as_json:
        show_json(
            {"tenant_id": tenant_id, "wallet_usd": usd(after.wallet), "held_usd": usd(after.held)}
            | {"wallet_nanos": after.wallet, "held_nanos": after.held}
        )
        return
    click.echo(f"{tenant}: wallet {usd_text(after.wallet)}, held {usd_text(after.held)}")
