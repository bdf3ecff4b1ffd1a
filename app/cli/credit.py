"""`moonpool credit`: money that moves without a job."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from app.accounts.tenants import find_tenant
from app.cli import options
from app.cli.show import show_json
from app.ledger.store import Entry, add_credit, balance, debit, refund, reverse
from app.money import nanos_from_usd, usd, usd_text
from app.stack.failure import StackError

if TYPE_CHECKING:
    from app.db.connect import Connection


class Amount(click.ParamType[int]):
    """A positive amount in dollars, exact; its value is in nano-dollars."""

    name = "amount_usd"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            nanos = nanos_from_usd(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if nanos <= 0:
            self.fail("it must be positive", param, ctx)
        return nanos


note = click.option("--note", default="", help="Why, for the statement and the audit log.")


@click.group()
def credit() -> None:
    """Give a tenant credit, take it back, refund a job, undo an entry.

    \b
    Examples:
      moonpool credit add 25
      moonpool credit add 0.50 --tenant acme --json
      moonpool credit debit 5 --tenant acme --note "wrong tenant"
      moonpool credit refund job_01jd3x… --note "bad answer"
      moonpool credit reverse ent_17
    """


@credit.command()
@click.argument("amount_usd", type=Amount())
@options.tenant
@note
@options.as_json
@options.data_dir
def add(amount_usd: int, tenant: str, note: str, as_json: bool) -> None:
    """Add AMOUNT_USD dollars to a tenant's wallet.

    Exit codes: 0 added, 1 there is no such tenant, 2 not a positive amount, 3 Postgres does not
    answer.
    """
    _move(lambda c: add_credit(c, _tenant_id(c, tenant), amount_usd, note), as_json)


@credit.command("debit")
@click.argument("amount_usd", type=Amount())
@options.tenant
@note
@options.as_json
@options.data_dir
def debit_command(amount_usd: int, tenant: str, note: str, as_json: bool) -> None:
    """Take AMOUNT_USD dollars out of a tenant's wallet.

    Exit codes: 0 taken, 1 there is no such tenant or not so much in its wallet, 2 not a positive
    amount, 3 Postgres does not answer.
    """
    _move(lambda c: debit(c, _tenant_id(c, tenant), amount_usd, note), as_json)


@credit.command("refund")
@click.argument("job_id")
@click.option("--amount", "amount_usd", type=Amount(), help="Dollars; without it all that is left.")
@note
@options.as_json
@options.data_dir
def refund_command(job_id: str, amount_usd: int | None, note: str, as_json: bool) -> None:
    """Give back what a job was charged, or some of it.

    Exit codes: 0 refunded, 1 no such job or more than it was charged, 3 Postgres does not answer.
    """
    _move(lambda c: refund(c, job_id, amount_usd, note), as_json)


@credit.command("reverse")
@click.argument("entry_id")
@note
@options.as_json
@options.data_dir
def reverse_command(entry_id: str, note: str, as_json: bool) -> None:
    """Undo a credit, debit or refund by an entry that mirrors it.

    Exit codes: 0 reversed, 1 no such entry, or it cannot be reversed, 3 Postgres does not answer.
    """
    _move(lambda c: reverse(c, entry_id, note), as_json)


def _tenant_id(connection: "Connection", tenant: str) -> str:
    tenant_id = find_tenant(connection, tenant)
    if tenant_id is None:
        raise StackError(f"no tenant {tenant}; `moonpool tenants create {tenant}` makes it")
    return tenant_id


def _move(post: Callable[["Connection"], Entry], as_json: bool) -> None:
    with options.database() as connection:
        entry = post(connection)
        after = balance(connection, entry.tenant_id)
    if as_json:
        show_json({
            "entry_id": entry.id,
            "kind": entry.kind,
            "amount_usd": usd(entry.amount),
            "amount_nanos": entry.amount,
            "tenant_id": entry.tenant_id,
            "wallet_usd": usd(after.wallet),
            "held_usd": usd(after.held),
            "wallet_nanos": after.wallet,
            "held_nanos": after.held,
        })  # fmt: skip
        return
    click.echo(f"{entry.id} {entry.kind} {usd_text(entry.amount)}")
    click.echo(f"{entry.tenant_id}: wallet {usd_text(after.wallet)}, held {usd_text(after.held)}")
