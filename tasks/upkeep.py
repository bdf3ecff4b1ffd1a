"""Upkeep that runs by the calendar."""

from contextlib import closing

from app.cache.store import drop_expired
from app.db.connect import connect
from app.db.reads import Reads
from app.errors import Unavailable
from app.files.service import Files
from app.jobs.store import tokens_of_day
from app.ledger.verify import verify
from app.limits.reconcile import reconcile
from app.lunes.erasing.steps import sweep as sweep_lunes
from app.queue import Task
from app.retention.sweep import sweep_content as sweep
from app.settings import settings
from app.telemetry import log
from app.webhooks.sweeping.store import sweep as sweep_webhooks
from workers.main import app


@app.task(name=Task.VERIFY_LEDGER.value, ignore_result=True)  # type: ignore[untyped-decorator]
def verify_ledger() -> None:
    """Proves the ledger and logs each finding as an error."""
    with connect(settings().postgres, "verify") as connection:
        findings = verify(connection)
    for finding in findings:
        log("ledger").error(finding.check, name=finding.row, reason=finding.message)
    log("ledger").info("ledger verified", count=len(findings))


@app.task(name=Task.MEND_COUNTERS.value, ignore_result=True)  # type: ignore[untyped-decorator]
def mend_counters() -> None:
    """Sets token counters right that a lost word from a worker has left wrong."""
    with connect(settings().postgres, "mend") as connection:
        mended = reconcile(
            settings().redis, lambda bucket, day: tokens_of_day(connection, bucket, day)
        )
    if mended:
        log("limits").warning("token counters mended", count=mended)


@app.task(name=Task.SWEEP_CONTENT.value, ignore_result=True)  # type: ignore[untyped-decorator]
def sweep_content() -> None:
    """Admits the jobs that delete content which is older than its tenant keeps it, and deletes what
    ingests and deletions of lunes left behind, and what is known of webhooks that old."""
    with connect(settings().postgres, "sweep") as connection:
        sweep_lunes(connection)
        admitted = sweep(connection, settings())
        dropped = drop_expired(connection)
        told = sweep_webhooks(connection, settings().retention_days)
    log("retention").info("webhook events deleted", count=told)
    log("retention").info("expired answers dropped", count=dropped)
    log("retention").info("content swept", count=len(admitted))


@app.task(name=Task.SWEEP_FILES.value, ignore_result=True)  # type: ignore[untyped-decorator]
def sweep_files() -> None:
    """Removes files that have expired, and what crashes have left of others."""
    with closing(Reads(settings().postgres, "files")) as database:
        try:
            removed = Files(database, settings()).sweep()
        except Unavailable as error:
            log("files").warning("sweep broken off", error=error.message)
        else:
            log("files").info("files removed", count=removed)
