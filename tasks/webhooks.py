"""The webhooks' task: something is due."""

from functools import cache

from app.queue import Bell, Task
from app.settings import settings
from app.webhooks.courier import Courier
from workers.main import app


@cache
def _parts() -> tuple[Bell, Courier]:
    return Bell(settings().redis), Courier(settings())


@app.task(name=Task.DELIVER_WEBHOOKS.value, ignore_result=True)  # type: ignore[untyped-decorator]
def deliver() -> None:
    """Sends the deliveries that are due."""
    bell, courier = _parts()
    bell.answered(Task.DELIVER_WEBHOOKS)
    courier.turn()
