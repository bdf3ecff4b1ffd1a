"""Between servers and processes: waits for the servers, migrates, makes the demo tenant."""

import time
from collections.abc import Callable

from app.db.connect import connect
from app.db.migrate import migrate
from app.settings import Settings
from app.stack.demo import ensure_demo
from app.stack.failure import StackError
from app.stack.probe import postgres_answers, redis_version, without_password

ANSWER_S = 60.0
LOOK_S = 0.02


def prepare(now: Settings, tell: Callable[[str], None]) -> None:
    """Makes the servers ready for the processes. Raises StackError if one does not answer within a
    minute."""
    _await("Postgres", now.postgres, postgres_answers, "MOONPOOL_DATABASE_URL")
    for name in migrate(now.postgres):
        tell(f"applied {name}")
    with connect(now.postgres, "prepare") as connection:
        ensure_demo(connection, now.home)
    _await("Redis", now.redis, redis_version, "MOONPOOL_REDIS_URL")


def _await(name: str, url: str, answers: Callable[[str], object], setting: str) -> None:
    limit = time.monotonic() + ANSWER_S
    while not answers(url):
        if time.monotonic() >= limit:
            raise StackError(
                f"{name} does not answer at {without_password(url)} after {ANSWER_S:.0f} s. "
                f"See whether it runs there, or unset {setting} to have an embedded one"
            )
        time.sleep(LOOK_S)
