"""Upkeep that runs by the calendar."""

from app.db.connect import connect
from app.ledger.verify import verify
from app.queue import Task
from app.settings import settings
from app.telemetry import log
from workers.main import app


@app.task(name=Task.VERIFY_LEDGER.value, ignore_result=True)  # type: ignore[untyped-decorator]
def verify_ledger() -> None:
    """Proves the ledger and logs each finding as an error."""
    with connect(settings().postgres, "verify") as connection:
        findings = verify(connection)
    for finding in findings:
        log("ledger").error(finding.check, name=finding.row, reason=finding.message)
    log("ledger").info("ledger verified", count=len(findings))
