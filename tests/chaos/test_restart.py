"""Everything starts again under load, while clients try again with their Idempotency-Keys."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from app.db.connect import connect
from tests.chaos.work import ONCE, slow, transfers
from tests.stacks import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]

CLIENTS = 12
EACH = 6
PATIENCE_S = 90.0
ROUND = ("worker_interactive", "redis", "web", "upkeep", "worker_background", "postgres", "beat")


class Clients:
    """Each asks for its completions one after another and does not give up: what it sends again
    carries the same key."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._progress = threading.Condition()
        self.answered = 0

    def run(self, number: int) -> dict[str, str]:
        """The jobs of one client, by key."""
        return {key: self._ask(number, key) for key in (f"{number}-{uuid4()}" for _ in range(EACH))}

    def await_answers(self, count: int) -> None:
        with self._progress:
            assert self._progress.wait_for(lambda: self.answered >= count, PATIENCE_S)

    def _ask(self, number: int, key: str) -> str:
        body = slow(8, 40, sim_seed=str(number)) | {"cancel_on_disconnect": False}
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            answer = self._try(body, key)
            if answer is not None and answer.status_code == 200:
                with self._progress:
                    self.answered += 1
                    self._progress.notify_all()
                return answer.headers["x-job-id"]
            assert answer is None or answer.status_code in (409, 502, 503), answer.text
        raise AssertionError(f"{key} was not answered")

    def _try(self, body: dict[str, object], key: str) -> httpx.Response | None:
        try:
            with self._stack.client({"Idempotency-Key": key}) as client:
                return client.post("/chat/completions", json=body, timeout=20)
        except httpx.TransportError:
            return None


def test_a_restart_of_everything_under_load_doubles_no_job_and_no_charge(stack: Stack) -> None:
    clients = Clients(stack)
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(clients.run, number) for number in range(CLIENTS)]
        for count, name in enumerate(ROUND, start=1):
            clients.await_answers(count * 6)
            stack.await_restart(name, stack.kill(name))
        jobs = {key: job for one in running for key, job in one.result().items()}
    assert len(jobs) == len(set(jobs.values())) == CLIENTS * EACH
    with connect(stack.database_url) as connection:
        rows = connection.execute(
            "SELECT key, count(*) FROM idempotency WHERE key = ANY (%s) GROUP BY key", (list(jobs),)
        ).fetchall()
        assert dict(rows) == dict.fromkeys(jobs, 1)
        made = connection.execute(
            "SELECT count(*) FROM job WHERE id IN (SELECT job_id FROM idempotency)"
            ' AND request LIKE \'%%"sim_tokens":"8"%%\''
        ).fetchone()
        assert made == (CLIENTS * EACH,)
    assert transfers(stack, list(jobs.values())) == dict.fromkeys(jobs.values(), ONCE)
