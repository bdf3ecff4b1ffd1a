"""What several commands share: options over the environment, and the database."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from app.accounts.bounds import APP_ID, NAME_MAX, PLAIN
from app.settings import override, settings
from app.stack.failure import NotUp, StackError

if TYPE_CHECKING:
    from app.db.connect import Connection


class Text(click.ParamType[str]):
    """A text that matches a pattern as a whole; `says` tells people of which kind."""

    name = "text"

    def __init__(self, pattern: str, says: str) -> None:
        self._pattern, self._says = re.compile(pattern), says

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if self._pattern.fullmatch(str(value)) is None:
            self.fail(f"write {self._says}", param, ctx)
        return str(value)


NAME = Text(rf"{PLAIN}{{1,{NAME_MAX}}}", f"1 to {NAME_MAX} characters, and no control characters")
APP = Text(APP_ID, "1 to 128 letters, digits, dots, hyphens and underscores")


def _set_data_dir(_: click.Context, __: click.Parameter, value: str | None) -> None:
    override(data_dir=value)


def _set_port(_: click.Context, __: click.Parameter, value: int | None) -> None:
    override(port=value)


data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    expose_value=False,
    callback=_set_data_dir,
    help="Data directory; stands over MOONPOOL_DATA_DIR (default .moonpool).",
)
port = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    expose_value=False,
    callback=_set_port,
    help="Port of the web; stands over MOONPOOL_PORT (default 8000).",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
tenant = click.option(
    "--tenant", default="demo", show_default=True, help="Name or id of the tenant."
)


@contextmanager
def database() -> Iterator["Connection"]:
    """A connection to the stack's database. Raises NotUp if it does not answer, and StackError if
    it lets nobody in."""
    # Imported where it is used: the supervisor stays small without a database driver.
    from app.db.connect import connect
    from app.stack.probe import postgres_answers, without_password

    now = settings()
    if not postgres_answers(now.postgres):
        start = "start the stack: moonpool up" if now.embedded_postgres else "is it running?"
        raise NotUp(f"Postgres does not answer at {without_password(now.postgres)}; {start}")
    try:
        connection = connect(now.postgres, "cli")
    except Exception as error:
        raise StackError(str(error).strip()) from error
    with connection:
        yield connection
