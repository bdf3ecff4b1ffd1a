"""What beat sends of the router."""

from app.db.connect import connect
from app.queue import Task
from app.settings import settings
from app.telemetry import log
from workers.main import app


@app.task(name=Task.LEARN_ROUTING.value, ignore_result=True)  # type: ignore[untyped-decorator]
def learn_routing() -> None:
    """Counts feedback on routed answers into a new version of the active profile."""
    # Imported where it is used: workers that never learn stay without numpy.
    from app.uniroute.learn import learn

    with connect(settings().postgres, "router") as connection:
        done = learn(connection, settings().router_learns)
    if done is not None:
        state = "active" if done.active else "kept"
        log("router").info("feedback counted", name=done.version, count=done.lessons, state=state)
