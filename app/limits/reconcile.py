"""Mends the day's token counters: a worker that died between its commit and its word to Redis
leaves what it had reserved in them."""

from collections.abc import Callable

from app.limits.model import day_of, prefix_of
from app.redis import Wire

SEEN = "lim:seen"
"""HASH bucket -> the counter at the last round; `=` before it where it was found right."""

SEEN_TTL_S = 600
_SET_IF_STILL = """\
if redis.call('GET',KEYS[1])==ARGV[1] then
redis.call('SET',KEYS[1],ARGV[2],'KEEPTTL')
return 1
end
return 0"""


def reconcile(url: str, truth: Callable[[str, int], int]) -> int:
    """One round, due each minute: counters that have stood still since the last one and differ from
    `truth(bucket, day)` are set to it. Returns how many. Raises RedisGone, and what `truth` raises.

    A counter that moves is left alone, since what moves it may not have reached `truth` yet.
    """
    wire = Wire(url)
    try:
        day = day_of(float(wire.call(("TIME",))[0][0]))
        ending = f"tok:{day}"
        counters = _counters(wire, ending)
        pairs = wire.call(("HGETALL", SEEN))[0]
        seen = dict(zip(pairs[::2], pairs[1::2], strict=True))
        mended, now_seen = 0, []
        for bucket, value in counters.items():
            known = seen.get(bucket.encode())
            if known == value:
                used = truth(bucket, day)
                if used != int(value):
                    key = prefix_of(bucket) + ending
                    mended += wire.call(("EVAL", _SET_IF_STILL, 1, key, value, used))[0]
                now_seen += [bucket, b"=%d" % used]
            else:
                now_seen += [bucket, known if known == b"=" + value else value]
        wire.call(("DEL", SEEN))
        if now_seen:
            wire.call(("HSET", SEEN, *now_seen), ("EXPIRE", SEEN, SEEN_TTL_S))
        return mended
    finally:
        wire.close()


def _counters(wire: Wire, ending: str) -> dict[str, bytes]:
    """The day's counters by bucket."""
    found: dict[str, bytes] = {}
    cursor = b"0"
    while True:
        cursor, keys = wire.call(("SCAN", cursor, "MATCH", prefix_of("*") + ending, "COUNT", 500))[
            0
        ]
        if keys:
            values = wire.call(("MGET", *keys))[0]
            for key, value in zip(keys, values, strict=True):
                if value is not None:
                    found[key.decode().split(":")[1]] = value
        if cursor == b"0":
            return found
