"""The limiter of a web process: shared in Redis, or its own share while Redis is away."""

from importlib.resources import files

import gevent

from app.limits.central import Central, Seed
from app.limits.line import Line
from app.limits.local import Local
from app.limits.model import Ask, Bucket, Standing, day_of
from app.redis import RedisGone

WINDOW_S = 60.0

_SCRIPT = files("app.limits").joinpath("take.lua").read_text()


class Limiter:
    """Takes requests against the limits of their buckets. Greenlets that ask at once share a write.

    `seed(bucket name, day)` gives the tokens used on a day where Redis does not know them; what it
    raises reaches who asks. `share` is the number of web processes. A command that Redis carried
    out without our hearing of it is counted there though the process counted it too: at worst a
    tenant gets less until the window, the day or the lease ends.
    """

    def __init__(self, url: str, seed: Seed, *, share: int = 1, window_s: float = WINDOW_S) -> None:
        self._line = Line(url, _SCRIPT, on_back=self._back)
        self._central = Central(self._line, seed, window_s)
        self._local = Local(share, window_s)
        self._window_s = window_s

    def take(self, ask: Ask) -> Standing:
        """Checks and consumes all limits of a request, or none of them."""
        try:
            return self._central.take(ask)
        except RedisGone:
            return self._local.take(ask)

    def peek(self, buckets: tuple[Bucket, ...]) -> Standing:
        """How these buckets stand; consumes nothing."""
        try:
            return self._central.peek(buckets)
        except RedisGone:
            return self._local.peek(buckets)

    def give_back(self, ask: Ask, taken: Standing) -> None:
        """Gives back tokens and session of a request that was taken and then refused elsewhere.
        It keeps its place in the minute. Does not wait."""
        if taken.refused is not None:
            return
        if taken.shared:
            self._central.give_back(ask, day_of(taken.now_s))
        else:
            self._local.end(ask, taken.now_s, 0)

    def ended(self, ask: Ask, taken: Standing, used: int) -> None:
        """Says that a request's job has ended with `used` tokens. Only what this process took on
        its own is corrected here: the worker corrects what is in Redis (`release_command`)."""
        if taken.refused is None and not taken.shared:
            self._local.end(ask, taken.now_s, used)

    def close(self) -> None:
        self._line.close()

    def _back(self) -> None:
        # What the outage left counts on if Redis goes again within a window.
        gevent.spawn_later(self._window_s, self._local.sweep)
