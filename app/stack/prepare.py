"""Between servers and processes: waits for the servers, migrates, makes the demo tenant, builds the
model of embeddings."""

import time
from collections.abc import Callable

from app.db.connect import connect
from app.db.migrate import migrate
from app.embedding.build import model_file
from app.embedding.weights import ModelUnfit
from app.settings import Settings
from app.stack.demo import ensure_demo
from app.stack.failure import StackError
from app.stack.probe import postgres_answers, redis_version, without_password

ANSWER_S = 60.0
LOOK_S = 0.02


def prepare(now: Settings, tell: Callable[[str], None]) -> None:
    """Makes servers and data directory ready for the processes. Raises StackError if a server does
    not answer within a minute, or the model cannot be built."""
    _await("Postgres", now.postgres, postgres_answers, "MOONPOOL_DATABASE_URL")
    for name in migrate(now.postgres):
        tell(f"applied {name}")
    with connect(now.postgres, "prepare") as connection:
        ensure_demo(connection, now.home)
    _await("Redis", now.redis, redis_version, "MOONPOOL_REDIS_URL")
    try:
        model_file(now.home)
    except (ModelUnfit, OSError) as error:
        raise StackError(f"all-MiniLM-L6-v2 cannot be built: {error}") from error


def _await(name: str, url: str, answers: Callable[[str], object], setting: str) -> None:
    limit = time.monotonic() + ANSWER_S
    while not answers(url):
        if time.monotonic() >= limit:
            raise StackError(
                f"{name} does not answer at {without_password(url)} after {ANSWER_S:.0f} s. "
                f"See whether it runs there, or unset {setting} to have an embedded one"
            )
        time.sleep(LOOK_S)
