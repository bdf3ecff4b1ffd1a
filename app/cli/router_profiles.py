"""`moonpool router`, as far as the stack's database is asked: which profile is active, and what
shadow mode saw."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.accounts.audit import CLI, record
from app.cli import options
from app.cli.show import show_json, show_table
from app.settings import settings
from app.uniroute import store
from app.uniroute.learn import learn
from app.uniroute.profile import profile_text, read_profile
from app.uniroute.shelf import shipped

if TYPE_CHECKING:
    from app.db.connect import Connection


@click.command("push")
@click.argument("profile_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--activate", is_flag=True, help="Decide by it from now on.")
@options.as_json
@options.data_dir
def push_command(profile_file: Path, activate: bool, as_json: bool) -> None:
    """Put a profile into the database. The same profile again changes nothing.

    Exit codes: 0 it is there, 1 the file is not as it must be, 3 Postgres does not answer.
    """
    profile = read_profile(profile_file)
    with options.database() as connection, connection.transaction():
        text = profile_text(profile).decode()
        new = store.keep_profile(connection, profile.version, text, profile.models, CLI)
        if new:
            record(connection, CLI, "router.push", profile.version, None)
        if activate:
            _activate(connection, profile.version)
    told = {"version": profile.version, "new": new, "active": activate}
    _say(told, as_json)


@click.command("activate")
@click.argument("version", metavar="VERSION")
@options.as_json
@options.data_dir
def activate_command(version: str, as_json: bool) -> None:
    """Decide by a profile of the database, or by the one that comes along. Workers follow within
    seconds.

    Exit codes: 0 it is active, 1 there is no such version, 3 Postgres does not answer.
    """
    with options.database() as connection, connection.transaction():
        _activate(connection, version)
    _say({"version": version, "active": True}, as_json)


@click.command("rollback")
@options.as_json
@options.data_dir
def rollback_command(as_json: bool) -> None:
    """Undo the last activation, so that the one before it holds again.

    Exit codes: 0 undone, 1 there is none to undo, 3 Postgres does not answer.
    """
    with options.database() as connection, connection.transaction():
        version = store.roll_back(connection, CLI) or shipped()[0]
        record(connection, CLI, "router.rollback", version, None)
    _say({"version": version, "active": True}, as_json)


@click.command("profiles")
@options.as_json
@options.data_dir
def profiles_command(as_json: bool) -> None:
    """List the profiles, newest first; the last one comes along with Moonpool.

    Exit codes: 0 listed, 3 Postgres does not answer.
    """
    with options.database() as connection:
        found = store.versions(connection)
        active = store.active_version(connection)
    own, models = shipped()
    rows = [
        (one.version, one.origin, one.parent or "", len(one.models), f"{one.created_at:%F %T}",
         "active" if one.active else "")
        for one in found
    ]  # fmt: skip
    rows.append((own, "shipped", "", len(models), "", "active" if active is None else ""))
    heads = ("version", "origin", "parent", "models", "created", "state")
    if as_json:
        show_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        show_table(heads, rows)


@click.command("learn")
@click.option("--activate", is_flag=True, help="Decide by what was learned from now on.")
@options.as_json
@options.data_dir
def learn_command(activate: bool, as_json: bool) -> None:
    """Count feedback on routed answers into a new version of the active profile, as happens each
    night.

    Exit codes: 0 done, also where there is no feedback, 3 Postgres does not answer.
    """
    with options.database() as connection:
        done = learn(connection, activate or settings().router_learns)
    if done is None:
        _say({"version": None, "lessons": 0}, as_json)
        return
    told = {"version": done.version, "lessons": done.lessons, "new": done.new}
    _say({**told, "active": done.active}, as_json)


@click.command("shadow")
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True)
@options.as_json
@options.data_dir
def shadow_command(days: int, as_json: bool) -> None:
    """Show what the router would have chosen for requests that named a model, by day: means of
    expected errors, and of prices in shares of the dearest candidate's.

    Exit codes: 0 shown, 3 Postgres does not answer.
    """
    with options.database() as connection:
        found = store.seen_since(connection, days)
    heads = (
        "day", "asked", "chosen", "requests", "asked error", "chosen error", "asked cost",
        "chosen cost",
    )  # fmt: skip
    rows = [
        (day, asked, chosen, one.requests,
         *(round(total / one.requests, 4) for total in
           (one.asked_error, one.chosen_error, one.asked_cost, one.chosen_cost)))
        for day, asked, chosen, one in found
    ]  # fmt: skip
    if as_json:
        show_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        show_table(heads, rows)


def _activate(connection: "Connection", version: str) -> None:
    own = version == shipped()[0] and store.find_version(connection, version) is None
    store.activate(connection, None if own else version, CLI)
    record(connection, CLI, "router.activate", version, None)


def _say(told: dict[str, object], as_json: bool) -> None:
    if as_json:
        show_json(told)
    else:
        click.echo(", ".join(f"{name} {value}" for name, value in told.items()))
