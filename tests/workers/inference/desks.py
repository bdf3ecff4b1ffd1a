"""Jobs for the simulator, and what a desk does with them."""

from dataclasses import replace
from typing import Any

import gevent
import orjson

from app.catalogue.model import Catalogue, Model
from app.db.connect import Connection
from app.events.log import Event
from app.jobs.model import Door
from app.redis import Wire
from tests.app.events.parts import stream, until
from tests.app.line import LANE, admit
from tests.workers.inference.scripted import Scripted, catalogue_of, providers_of
from workers.inference.desk import Desk

HOLD = 1_000_000
CREDIT = 10**9


def request(**sim: Any) -> str:
    """A request to the simulator: `request(tokens=3, stall_after=1)`."""
    metadata = {f"sim_{name}": str(value) for name, value in sim.items()}
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": "builtin/sim", "messages": messages, "metadata": metadata}
    return orjson.dumps(body).decode()


def jobs_of(
    connection: Connection, tenant_id: str, count: int = 1, door: Door = "background", **sim: Any
) -> list[str]:
    """Admits jobs for the simulator."""
    return admit(connection, tenant_id, count, hold=HOLD, door=door, request=request(**sim))


def started(desk: Desk, count: int) -> Any:
    """A greenlet that answers; returned once so many jobs have said something."""
    greenlet = gevent.spawn(desk.answer, LANE, count)
    until(lambda: sum(r.attempt.relay.spoke for r in desk.running.values()) == count)
    return greenlet


def finished(greenlet: Any) -> None:
    """Waits until an answering greenlet has returned."""
    greenlet.join(10)
    assert greenlet.successful(), greenlet.exception


def log_of(desk: Desk, wire: Wire, job_id: str) -> list[Event]:
    """A job's log once the desk has written all of it."""
    desk._parts.publisher.drain(10)
    return stream(wire, job_id)


def speaking(desk: Desk, *models: Model, **providers: Scripted) -> Catalogue:
    """Gives a desk scripted providers and the models that they answer for; its catalogue."""
    found = catalogue_of(*models)
    desk._parts = replace(desk._parts, catalogue=found, providers=providers_of(found, **providers))
    return found
