"""The listening side: one Redis subscriber a process, shared by all who wait in it."""

from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event as Signal

from app.redis import RedisGone, Wire, pack
from app.telemetry import log

RETRY_S = 0.2


class Watch:
    """One listener's messages from a channel. `lost` is set when some may have been missed."""

    __slots__ = ("_messages", "_signal", "channel", "lost")

    def __init__(self, channel: bytes) -> None:
        self.channel = channel
        self.lost = False
        self._messages: deque[bytes] = deque()
        self._signal = Signal()

    def get(self, timeout_s: float) -> bytes | None:
        """The next message, or None after `timeout_s`, or at once when messages were `lost`."""
        if not self._messages:
            self._signal.clear()
            if not self.lost:
                self._signal.wait(timeout_s)
        return self._messages.popleft() if self._messages else None

    def put(self, message: bytes) -> None:
        self._messages.append(message)
        self._signal.set()

    def miss(self) -> None:
        self.lost = True
        self._signal.set()


class Hub:
    """Subscribes to channels for whoever asks; survives a Redis that goes and comes back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._watches: dict[bytes, list[Watch]] = {}
        self._joining: list[bytes] = []
        self._leaving: list[bytes] = []
        self._wire: Wire | None = None
        self._reader: Any = None
        self._teller: Any = None

    def watch(self, channel: str) -> Watch:
        """Starts to listen on a channel. What was sent before Redis took the subscription is
        missed; the reader of a log sees that by the seq of the first event."""
        if self._reader is None or self._reader.dead:
            self._reader = gevent.spawn(self._run)
        watch = Watch(channel.encode())
        listeners = self._watches.setdefault(watch.channel, [])
        listeners.append(watch)
        if len(listeners) == 1:
            self._joining.append(watch.channel)
            if self._teller is None or self._teller.dead:
                self._teller = gevent.spawn(self._tell)
        return watch

    def leave(self, watch: Watch) -> None:
        """Stops to listen. The unsubscription goes with the next subscription's write."""
        listeners = self._watches.get(watch.channel, [])
        if watch in listeners:
            listeners.remove(watch)
        if not listeners and self._watches.pop(watch.channel, None) is not None:
            self._leaving.append(watch.channel)

    def _tell(self) -> None:
        """Tells Redis of all who came and went since the last time, in one write."""
        while self._joining and self._wire is not None:
            gone = [channel for channel in self._leaving if channel not in self._watches]
            come = [channel for channel in self._joining if channel in self._watches]
            self._joining, self._leaving = [], []
            packed = pack("UNSUBSCRIBE", *gone) if gone else b""
            if come:
                packed += pack("SUBSCRIBE", *come)
            try:
                self._wire.send(packed)
            except RedisGone:
                self._wire = None

    def _run(self) -> None:
        while True:
            try:
                wire = Wire(self._url, timeout_s=None)
                self._joining = []
                if self._watches:
                    wire.send(pack("SUBSCRIBE", *self._watches))
                self._wire = wire
                self._tell()
                for listeners in self._watches.values():
                    for watch in listeners:
                        watch.miss()
                self._listen(wire)
            except RedisGone as gone:
                log("events").warning("subscriber away", error=str(gone))
                self._wire = None
                gevent.sleep(RETRY_S)

    def _listen(self, wire: Wire) -> None:
        while True:
            reply = wire.read()
            if not isinstance(reply, list):
                raise RedisGone(str(reply))
            kind, channel, data = reply
            if kind == b"message":
                for watch in self._watches.get(channel, ()):
                    watch.put(data)


def on_message(hub: Hub, channel: str, handle: Callable[[bytes], None]) -> Any:
    """Calls `handle` with each message of a channel, in a greenlet, which is returned."""
    watch = hub.watch(channel)

    def listen() -> None:
        while True:
            message = watch.get(3600)
            watch.lost = False
            if message is not None:
                handle(message)

    return gevent.spawn(listen)
