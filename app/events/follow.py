"""Follows a job's log from any point: what the stream holds, then what comes live, no holes."""

from app.events.hub import Hub, Watch
from app.events.log import Event, EventId, decode, from_entry, stream_key
from app.redis import RedisGone, ReplyError, Wire

PAGE = 1000


class LogReader:
    """Reads streams over one connection a read; reads are rare beside live messages."""

    def __init__(self, url: str) -> None:
        self._url = url

    def after(self, job_id: str, last: EventId) -> list[Event]:
        """The events kept after `last`. Empty if there are none or Redis is away."""
        try:
            wire = Wire(self._url)
        except RedisGone:
            return []
        events: list[Event] = []
        try:
            while True:
                start = f"({events[-1].id if events else last}"
                key = stream_key(job_id)
                [page] = wire.call(("XRANGE", key, start, "+", "COUNT", PAGE))
                events += [from_entry(entry) for entry in page]
                if len(page) < PAGE:
                    return events
        except (RedisGone, ReplyError):
            return events
        finally:
            wire.close()


def follows(event: Event, last: EventId) -> bool:
    """Whether `event` comes right after `last`; a snapshot stands for all before it."""
    attempt, seq = event.id
    if attempt == last.attempt:
        return seq == last.seq + 1 or event.name == "snapshot"
    return seq == 1 or event.name == "snapshot"


class Follower:
    """One reader's place in one job's log. Create it before the job can write, or `catch_up`."""

    def __init__(self, hub: Hub, reader: LogReader, job_id: str, last: EventId) -> None:
        self.job_id, self.last = job_id, last
        self.hole = False
        self.result: bytes | None = None
        self._hub, self._reader = hub, reader
        self._watch: Watch = hub.watch(stream_key(job_id))

    def catch_up(self) -> list[Event]:
        """What the stream holds after our place. Sets `hole` if events between were trimmed."""
        return self._step(self._reader.after(self.job_id, self.last), live=False)

    def wait(self, timeout_s: float) -> list[Event]:
        """The next events; empty after `timeout_s`, or while there is a `hole`."""
        message = self._watch.get(timeout_s)
        if self._watch.lost:
            self._watch.lost = False
            events = self.catch_up()
            return events + (self._step(decode(message), live=True) if message else [])
        return self._step(decode(message), live=True) if message else []

    def close(self) -> None:
        self._hub.leave(self._watch)

    def _step(self, events: list[Event], *, live: bool) -> list[Event]:
        passed: list[Event] = []
        for event in events:
            if event.name == "result":
                self.result = event.data
            elif event.id <= self.last:
                continue
            elif follows(event, self.last):
                self.last, self.hole = event.id, False
                passed.append(event)
            elif live:
                return passed + self.catch_up()
            else:
                self.hole = True
                return passed
        return passed
