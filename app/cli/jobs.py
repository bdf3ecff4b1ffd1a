"""`moonpool jobs`: dead letters, listed and made again."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.accounts.tenants import find_tenant
from app.cli import options
from app.cli.show import show_json, show_table
from app.errors import MoonpoolError, NotFound
from app.ids import is_job_id
from app.jobs import store
from app.jobs.model import STATUS, Draft, JobFilter, JobRow
from app.jobs.planned.moments import unix_seconds
from app.jobs.retries.again import DEAD, draft_again
from app.jobs.retries.store import find_origin
from app.jobs.service import refusal
from app.queue import Bell
from app.settings import settings
from app.stack.failure import StackError

if TYPE_CHECKING:
    from app.db.connect import Connection


class Moment(click.ParamType[float]):
    """A date and time by ISO 8601; its value is in unix seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return unix_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


status = click.option(
    "--status", type=click.Choice(list(dict.fromkeys(STATUS.values()))), multiple=True,
    default=("failed",), show_default=True, help="How they stand; may come several times.",
)  # fmt: skip
code = click.option("--error-code", help="Only those that failed with this error.")
model = click.option("--model", help="Only those that asked for this model.")
since = click.option("--since", type=Moment(), help="Admitted at this time or later.")
until = click.option("--until", type=Moment(), help="Admitted before this time.")


@click.group()
def jobs() -> None:
    """List jobs, those that failed for good first of all, and make them again.

    \b
    Examples:
      moonpool jobs list --tenant acme --error-code deadline_exceeded
      moonpool jobs retry job_01jd3x… --tenant acme
      moonpool jobs retry --tenant acme --since 2026-01-31T06:00:00Z --limit 500
    """


@jobs.command("list")
@options.tenant
@status
@code
@model
@since
@until
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@options.as_json
@options.data_dir
def list_command(
    tenant: str, status: tuple[str, ...], error_code: str | None, model: str | None,
    since: float | None, until: float | None, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """Show a tenant's jobs, newest first.

    Exit codes: 0 shown, 1 there is no such tenant, 3 Postgres does not answer.
    """
    wanted = _filter(status, error_code, model, since, until)
    with options.database() as connection:
        rows = store.list_jobs(connection, _tenant_id(connection, tenant), None, wanted, limit)
    if as_json:
        show_json([_told(row) for row in rows])
        return
    show_table(
        ("id", "at", "kind", "model", "status", "attempts", "error", "retried by"),
        [
            (
                row.id, f"{datetime.fromtimestamp(row.created_s, UTC):%Y-%m-%d %H:%M:%S}", row.kind,
                row.model, STATUS[row.state], row.attempt, _code(row), row.retried_by,
            )
            for row in rows
        ],
    )  # fmt: skip


@jobs.command()
@click.argument("job_ids", nargs=-1)
@options.tenant
@status
@code
@model
@since
@until
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True,
    help="The newest so many, where no ids are given.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Also those that are made again already.")
@options.as_json
@options.data_dir
def retry(
    job_ids: tuple[str, ...], tenant: str, status: tuple[str, ...], error_code: str | None,
    model: str | None, since: float | None, until: float | None, limit: int, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Make JOB_IDS again, each as a new job with a hold of its own; without ids those that the
    options find and that are not made again yet.

    Exit codes: 0 all are made, 1 one was refused or there is no such tenant, 3 Postgres does not
    answer.
    """
    found = _filter(tuple(set(status) & set(DEAD)), error_code, model, since, until)
    wanted = replace(found, again="any" if force else "new")
    done: list[dict[str, Any]] = []
    with options.database() as connection:
        tenant_id = _tenant_id(connection, tenant)
        ids = list(dict.fromkeys(job_ids))
        if not ids:
            rows = store.list_jobs(connection, tenant_id, None, wanted, limit)
            ids = [row.id for row in rows]
        try:
            for job_id in ids:
                done.append(_again(connection, tenant_id, job_id, force))
        finally:
            # Whatever ended it: those that were made are told and rung for.
            made = _tell(done, as_json)
    if made < len(done):
        raise StackError(f"{len(done) - made} of {len(done)} jobs were not made again")


def _tell(done: list[dict[str, Any]], as_json: bool) -> int:
    """Rings for the jobs that were made, and shows what became of each; returns how many were."""
    made = [one["made"] for one in done if one["made"]]
    Bell(settings().redis).ring_now("background", made)
    if as_json:
        show_json(done)
    else:
        show_table(("job", "made", "refused"), [tuple(one.values()) for one in done])
    return len(made)


def _again(connection: "Connection", tenant_id: str, job_id: str, force: bool) -> dict[str, Any]:
    """Makes one job again, for the key that the first was made with."""
    try:
        draft = _draft(connection, tenant_id, job_id, force)
        [verdict] = store.admit_group(connection, [draft])
        if not verdict.startswith("admitted"):
            raise refusal(draft, verdict)
    except MoonpoolError as error:
        return {"job_id": job_id, "made": None, "refused": error.message}
    return {"job_id": job_id, "made": draft.id, "refused": None}


def _draft(connection: "Connection", tenant_id: str, job_id: str, force: bool) -> Draft:
    origin = find_origin(connection, job_id, tenant_id) if is_job_id(job_id) else None
    if origin is None:
        raise NotFound(f"The tenant has no job {job_id}.")
    now = settings()
    draft = draft_again(
        origin, key_id=origin.key_id, deadline_s=now.total_timeout,
        backlog=now.backlog("background"), force=force,
    )  # fmt: skip
    # Nothing was taken from the limits; its end adds what it used.
    draft.reserved = 0
    return draft


def _filter(
    states: tuple[str, ...], code: str | None, model: str | None, since: float | None,
    until: float | None,
) -> JobFilter:  # fmt: skip
    wanted = tuple(state for state, told in STATUS.items() if told in states)
    return JobFilter(wanted, code, model, None, since, until)


def _told(row: JobRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": int(row.created_s),
        "kind": row.kind,
        "model": row.model,
        "status": STATUS[row.state],
        "attempts": row.attempt,
        "error": row.error,
        "retry_of": row.retry_of,
        "retried_by": row.retried_by,
    }


def _code(row: JobRow) -> str | None:
    return row.error.get("code") if isinstance(row.error, dict) else None


def _tenant_id(connection: "Connection", tenant: str) -> str:
    tenant_id = find_tenant(connection, tenant)
    if tenant_id is None:
        raise StackError(f"there is no tenant {tenant}")
    return tenant_id
