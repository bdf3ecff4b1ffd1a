"""Readers' arithmetic, waiting among greenlets, and a Redis to kill."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import gevent
import orjson

from app.events.log import Event, from_entry, stream_key
from app.events.publish import JobLog, Publisher
from app.redis import RedisGone, ReplyError, Wire
from app.stack.child import Child
from app.stack.program import Program
from tests.waiting import PATIENCE

Found = TypeVar("Found")


def until(condition: Callable[[], Found], seconds: float = 10) -> Found:
    """What `condition` returns once that is true, while other greenlets run."""
    limit = time.monotonic() + seconds * PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit, "it did not come true"
        gevent.sleep(0.001)
    return found


def choice(text: str) -> bytes:
    """One chunk choice, as the log holds it."""
    return orjson.dumps({"index": 0, "delta": {"content": text}})


def text_of(events: Iterable[Event]) -> str:
    """The text that a reader has after these events."""
    text = ""
    for event in events:
        if event.name == "delta":
            for line in event.data.split(b"\n"):
                text += orjson.loads(line)["delta"].get("content") or ""
        elif event.name == "snapshot":
            text = orjson.loads(event.data)["text"]
        elif event.name == "restarted":
            text = ""
    return text


class Speaker:
    """One attempt of one job, seen from the side that writes."""

    def __init__(self, publisher: Publisher, job_id: str = "job_a", attempt: int = 1) -> None:
        self.text = ""
        self.publisher = publisher
        self.log = JobLog(job_id, attempt, lambda: orjson.dumps({"text": self.text}))

    def begin(self) -> None:
        self.event("started" if self.log.attempt == 1 else "restarted")

    def say(self, text: str) -> None:
        self.text += text
        self.log.delta([choice(text)])
        self.publisher.wrote(self.log)

    def event(self, name: str, data: bytes = b"{}") -> None:
        self.log.event(name, data)
        self.publisher.wrote(self.log)

    def end(self) -> None:
        self.event("usage")
        self.event("completed")

    def flush(self) -> None:
        """Waits until Redis has taken all."""
        until(lambda: not self.log.pending)
        self.publisher.drain(10)


def stream(wire: Wire, job_id: str = "job_a") -> list[Event]:
    """All that a job's stream holds."""
    [entries] = wire.call(("XRANGE", stream_key(job_id), "-", "+"))
    return [from_entry(entry) for entry in entries]


def ids(events: Iterable[Event]) -> list[str]:
    return [str(event.id) for event in events]


def names(events: Iterable[Event]) -> list[str]:
    return [event.name for event in events]


class OwnRedis:
    """A server that can be killed and started again with its data."""

    def __init__(self, url: str, program: Program) -> None:
        self.url = url
        self._child = Child(program)

    def start(self) -> None:
        self._child.start()
        until(self._answers)

    def kill(self) -> None:
        """SIGKILL: what it has written to its log is kept, as the kernel has it."""
        process = self._child.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)

    def wire(self) -> Wire:
        return Wire(self.url)

    def _answers(self) -> bool:
        try:
            wire = self.wire()
        except RedisGone:
            return False
        try:
            wire.call(("PING",))
        except (RedisGone, ReplyError):
            return False
        finally:
            wire.close()
        return True
