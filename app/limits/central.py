"""The limits that all web processes share, in Redis."""

from collections.abc import Callable

from gevent.event import AsyncResult

from app.limits.line import Line
from app.limits.model import (
    DAY_S,
    DAY_US,
    UNSEEDED,
    Ask,
    Bucket,
    Standing,
    session_name,
    standing,
)
from app.limits.release import release_command
from app.redis import RedisGone, pack

TOKENS_TTL_S = 2 * DAY_S
SEED_TRIES = 3
"""A counter may vanish again, with Redis' data or with its day."""

Seed = Callable[[str, int], int]
"""`seed(bucket name, day)`: the tokens that the bucket has used on that day, from the books."""


class Central:
    """Takes and gives back in Redis, through one Line."""

    def __init__(self, line: Line, seed: Seed, window_s: float) -> None:
        self._line, self._seed = line, seed
        self._window = round(window_s * 1_000_000)
        self._seeding: dict[tuple[str, int], AsyncResult] = {}

    def take(self, ask: Ask) -> Standing:
        """Raises RedisGone, and whatever `seed` raises."""
        buckets, tokens, job_id, session, holds_session, lease_s = ask
        held = (job_id, session_name(session)) if holds_session else ("", "")
        return self._eval(buckets, 1, tokens, *held, int(lease_s * 1000))

    def peek(self, buckets: tuple[Bucket, ...]) -> Standing:
        """Raises RedisGone, and whatever `seed` raises."""
        return self._eval(buckets, 0, 0, "", "", 0)

    def give_back(self, ask: Ask, day: int) -> None:
        """Gives back the tokens and the session of a take of `day`, not its place in the minute."""
        names = [bucket.name for bucket in ask.buckets]
        self._line.tell(release_command(names, day, ask.tokens, 0, ask.job_id, ask.session))

    def _eval(self, buckets: tuple[Bucket, ...], *arguments: object) -> Standing:
        if len(buckets) == 1:
            [one] = buckets
            words = (1, one.prefix, self._window, *arguments, *one.arguments)
        else:
            keys = [bucket.prefix for bucket in buckets]
            caps = [cap for bucket in buckets for cap in bucket.arguments]
            words = (len(keys), *keys, self._window, *arguments, *caps)
        packed = pack("EVALSHA", self._line.sha, *words)
        reply = self._line.ask(packed)
        for _ in range(SEED_TRIES):
            if reply[1] != UNSEEDED:
                return standing(buckets, reply, shared=True)
            for bucket, used in zip(buckets, reply[6::3], strict=True):
                if used < 0:
                    self._seed_once(bucket, reply[0] // DAY_US)
            reply = self._line.ask(packed)
        if reply[1] == UNSEEDED:
            raise RedisGone("token counters do not stay")
        return standing(buckets, reply, shared=True)

    def _seed_once(self, bucket: Bucket, day: int) -> None:
        """Starts a day's counter; who comes meanwhile waits for the same answer of the books."""
        key = (bucket.name, day)
        if key in self._seeding:
            self._seeding[key].get()
            return
        done = self._seeding[key] = AsyncResult()
        try:
            used = self._seed(bucket.name, day)
            where = ("SET", f"{bucket.prefix}tok:{day}")
            self._line.ask(pack(*where, max(used, 0), "NX", "EX", TOKENS_TTL_S))
            done.set()
        except BaseException as error:
            done.set_exception(error)
            raise
        finally:
            del self._seeding[key]
