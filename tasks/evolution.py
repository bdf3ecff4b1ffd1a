"""What beat sends of the evolution."""

from app.db.connect import connect
from app.evolution.store import violations
from app.queue import Task
from app.settings import settings
from app.telemetry import log
from workers.main import app


@app.task(name=Task.VERIFY_EVOLUTION.value, ignore_result=True)  # type: ignore[untyped-decorator]
def verify_evolution() -> None:
    """Proves the bounds of drift and logs each finding as an error."""
    with connect(settings().postgres, "verify") as connection:
        found = violations(connection)
    for one in found:
        log("evolution").error(one.check, name=one.place, reason=one.message)
    log("evolution").info("evolution verified", count=len(found))
