"""A running Moonpool as a measurement asks it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.rig import WHOLE, moonpool, provider
from bench.running import BenchError

TIMEOUT_S = 120.0
TRIES = 30
WAIT_S = 60
LOOK_S = 0.5


class Api:
    """The endpoints below `/v1`. Raises BenchError for an answer that is an error, but waits where
    it is asked to."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The body of an answer."""
        for _ in range(TRIES):
            answer = self._client.request(method, path, **options)
            if answer.status_code not in (429, 503):
                break
            time.sleep(min(30.0, float(answer.headers.get("Retry-After", 1))))
        if not answer.is_success:
            raise BenchError(f"{method} {path} answers {answer.status_code}: {answer.text}")
        return answer.json()

    def done(self, path: str, body: dict[str, Any] | None, method: str = "POST") -> Any:
        """The result of the job that a request makes, once it has ended."""
        told = self.ask(method, path, json=body, headers={"Prefer": f"wait={WAIT_S}"})
        while told.get("object") == "job":
            if told["status"] not in ("queued", "in_progress", "completed"):
                raise BenchError(f"{method} {path} failed: {told['error']}")
            if told.get("result") is not None:
                return told["result"]
            time.sleep(LOOK_S)
            told = self.ask("GET", f"/jobs/{told['id']}")
        return told


@contextmanager
def served(url: str | None, key: str) -> Iterator[Api]:
    """The Moonpool at `url`, or without one a stack that is started for it."""
    with ExitStack() as stack:
        if url is None:
            url, key = stack.enter_context(_own())
        yield Api(stack.enter_context(client_of(url, key)))


def client_of(url: str, key: str) -> httpx.Client:
    """A client of the endpoints at `url`, for up to 64 requests at once."""
    return httpx.Client(
        base_url=url.rstrip("/").removesuffix("/v1") + "/v1",
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        limits=httpx.Limits(max_connections=64),
        trust_env=False,
    )


@contextmanager
def _own() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as folder:
        place = Path(folder)
        with (
            provider(place) as upstream,
            moonpool("moonpool", place / "stack", upstream, processes=WHOLE) as target,
        ):
            yield target.url.removesuffix("/chat/completions"), target.key
