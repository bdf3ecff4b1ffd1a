"""Memory's nightly work."""

from app.db.connect import connect
from app.memory.consolidation.run import consolidate
from app.queue import Task
from app.settings import settings
from app.telemetry import log
from workers.main import app


@app.task(name=Task.CONSOLIDATE_MEMORY.value, ignore_result=True)  # type: ignore[untyped-decorator]
def consolidate_memory() -> None:
    """Sums up episodes, puts away what is never used, and deletes what was put away for long."""
    with connect(settings().postgres, "consolidate") as connection:
        done = consolidate(connection, settings())
    log("memory").info("summaries made", count=done.summaries)
    log("memory").info("memories put away", count=done.put_away)
    log("memory").info("memories deleted", count=done.deleted)
