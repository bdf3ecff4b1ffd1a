"""One connection for a process's limits: what waits goes in one write, and an outage is noticed
once."""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter

from app.redis import RedisGone, ReplyError, Wire, pack
from app.telemetry import log

TIMEOUT_S = 1.0
"""A Redis that is silent for so long is taken for gone. Only what is asked just then waits for it:
until Redis is back, nobody asks it again."""

RETRY_S = 1.0
IDLE_S = 30.0
"""A connection that was not used for so long is opened anew: what lies between may have cut it."""

GROUP_MAX = 256

_PASSING = re.compile(r"(^|-)(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY) ")
"""Errors of a Redis that is starting, failing over, hung or full: an outage like any other. Before
version 7, Redis wraps those of a script's commands: `ERR Error running script …: -OOM …`."""

Entry = tuple[bytes, Any]
"""A packed command and the Waiter for its reply; None: nobody waits."""


class Line:
    """Sends commands that greenlets give it, all that wait in one write.

    While Redis is away, commands fail at once, and a greenlet of its own tries it again, at most
    once a second. `script` is loaded at each connect and whenever Redis has forgotten it; `sha`
    names it for EVALSHA. `on_back` is called when an outage has ended.
    """

    def __init__(self, url: str, script: str, *, on_back: Callable[[], None]) -> None:
        self._url, self._script, self._on_back = url, script, on_back
        self.sha = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - Redis names it so
        self._waiting: list[Entry] = []
        self._wake = Event()
        self._wire: Wire | None = None
        self._used = 0.0
        self._flusher: Any = None
        self._prober: Any = None
        self._next_try = 0.0
        self.down = False

    def ask(self, packed: bytes) -> Any:
        """The reply to a command. Raises RedisGone, also for an error reply."""
        waiter = Waiter()
        self._put(packed, waiter)
        reply = waiter.get()
        if isinstance(reply, Exception):
            raise RedisGone(str(reply)) from reply
        return reply

    def tell(self, packed: bytes) -> None:
        """Sends a command whose reply nobody needs; it is dropped while Redis is away."""
        try:
            self._put(packed, None)
        except RedisGone:
            return

    def close(self) -> None:
        """Ends the greenlets and the connection; who still waits gets RedisGone."""
        gevent.killall([g for g in (self._flusher, self._prober) if g is not None])
        self._drop()
        self._fail(RedisGone("closed"))

    def _put(self, packed: bytes, waiter: Any) -> None:
        if self.down:
            self._try_again()
            raise RedisGone("Redis is away")
        self._waiting.append((packed, waiter))
        if self._flusher is None or self._flusher.dead:
            self._flusher = gevent.spawn(self._run)
        elif len(self._waiting) == 1:
            self._wake.set()

    def _run(self) -> None:
        group: list[Entry] = []
        try:
            while True:
                if not self._waiting:
                    self._wake.clear()
                    self._wake.wait()
                group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
                _deliver(group, self._flush(group))
                group = []
        except BaseException as error:
            self._waiting[:0] = group
            self._fail(RedisGone(str(error)))
            # Replies of the group may still come, and are nobody's.
            self._drop()
            raise

    def _flush(self, group: list[Entry]) -> list[Any]:
        try:
            wire = self._open()
            replies = wire.replies(b"".join([packed for packed, _ in group]), len(group))
            bad = [at for at, reply in enumerate(replies) if isinstance(reply, ReplyError)]
            if bad:
                self._mend(wire, group, replies, bad)
            return replies
        except RedisGone as gone:
            self._lost(gone)
            return [gone] * len(group)

    def _mend(self, wire: Wire, group: list[Entry], replies: list[Any], bad: list[int]) -> None:
        """Sends again, in place, what failed for want of the script. Raises RedisGone."""
        again = [at for at in bad if str(replies[at]).startswith("NOSCRIPT")]
        if again:
            packed = b"".join([group[at][0] for at in again])
            load = pack("SCRIPT", "LOAD", self._script)
            _, *mended = wire.replies(load + packed, 1 + len(again))
            for at, reply in zip(again, mended, strict=True):
                replies[at] = reply
        for at in bad:
            if not isinstance(replies[at], ReplyError):
                continue
            if _PASSING.search(str(replies[at])):
                self._lost(RedisGone(str(replies[at])))
                return
            log("limits").error("limit command refused", error=str(replies[at]))

    def _open(self) -> Wire:
        """The connection, with the script loaded. Raises RedisGone."""
        now = time.monotonic()
        if self._wire is not None and now - self._used > IDLE_S:
            self._drop()
        self._used = now
        if self._wire is None:
            with gevent.Timeout(TIMEOUT_S, RedisGone("connecting took too long")):
                wire = Wire(self._url, timeout_s=TIMEOUT_S)
                try:
                    wire.call(("SCRIPT", "LOAD", self._script))
                except ReplyError as error:
                    wire.close()
                    raise RedisGone(str(error)) from error
                self._wire = wire
        return self._wire

    def _lost(self, gone: RedisGone) -> None:
        self._drop()
        if not self.down:
            self.down = True
            log("limits").warning("Redis away, each process limits its share", error=str(gone))
        self._fail(gone)

    def _fail(self, gone: RedisGone) -> None:
        lost, self._waiting = self._waiting, []
        _deliver(lost, [gone] * len(lost))

    def _try_again(self) -> None:
        now = time.monotonic()
        if now >= self._next_try and (self._prober is None or self._prober.dead):
            self._next_try = now + RETRY_S
            self._prober = gevent.spawn(self._probe)

    def _probe(self) -> None:
        try:
            # A write, since a Redis that is full or a replica takes none.
            self._open().call(("SET", "lim:probe", 1, "EX", 60))
        except (RedisGone, ReplyError):
            self._drop()
            return
        self.down = False
        log("limits").warning("Redis is back, limits are shared again")
        self._on_back()

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None


def _deliver(group: list[Entry], replies: list[Any]) -> None:
    """Wakes who waits, in the hub, where a waiter may be switched to."""
    gevent.get_hub().loop.run_callback(_switch, group, replies)


def _switch(group: list[Entry], replies: list[Any]) -> None:
    for (_, waiter), reply in zip(group, replies, strict=True):
        if waiter is not None:
            waiter.switch(reply)
