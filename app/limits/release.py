"""Giving back: what jobs held, as commands for whoever's pipeline is at hand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.limits.model import prefix_of, session_name
from app.redis import pack

_RELEASE = """\
local c=redis.call
local day,more,job,session=ARGV[1],tonumber(ARGV[2]),ARGV[3],ARGV[4]
for _,p in ipairs(KEYS) do
local k=p..'tok:'..day
if more~=0 and c('EXISTS',k)==1 and c('INCRBY',k,more)<0 then c('SET',k,0,'KEEPTTL') end
if job=='' then elseif session=='' then c('ZREM',p..'ses',job) else
local jobs,t=p..'ses:'..session,c('TIME')
c('ZREM',jobs,job)
c('ZREMRANGEBYSCORE',jobs,'-inf',t[1]*1000+math.floor(t[2]/1000))
if c('EXISTS',jobs)==0 then c('ZREM',p..'ses','s:'..session) end
end
end
return 1"""
"""Keys: prefixes of buckets. Arguments: the day of the take, tokens to add to its counter, the id
of a job that held a session or nothing, the session's name or nothing. Sent as text each time, so
that a Redis that was restarted knows it. `take.lua` explains the keys."""


class Release(NamedTuple):
    """What ends a job's take: `more` tokens on the counters of `day` (used less reserved, so mostly
    below 0), and the session that `job_id` held; empty if it held none."""

    bucket_names: tuple[str, ...]
    day: int
    more: int
    job_id: str
    session: str | None

    def packed(self) -> bytes:
        """One command with one reply."""
        names = self.bucket_names
        return pack(
            "EVAL", _RELEASE, len(names), *map(prefix_of, names),
            self.day, self.more, self.job_id, session_name(self.session),
        )  # fmt: skip


def release_commands(releases: Iterable[Release]) -> list[bytes]:
    """The commands for several releases: those that free no session become one for each day and
    set of buckets."""
    sums: dict[tuple[tuple[str, ...], int], int] = {}
    commands = []
    for one in releases:
        if one.job_id:
            commands.append(one.packed())
        else:
            key = one.bucket_names, one.day
            sums[key] = sums.get(key, 0) + one.more
    for (names, day), more in sums.items():
        if more:
            commands.append(Release(names, day, more, "", None).packed())
    return commands


def release_command(
    bucket_names: Sequence[str],
    day: int,
    reserved: int,
    used: int,
    job_id: str,
    session: str | None,
) -> bytes:
    """One packed command, with one reply, that ends what a job took on `day` (`day_of` its take).

    The day's tokens become what was used instead of what was reserved (0 where Redis reserved
    nothing), if they are still counted, and are never below 0. The job's session is free again,
    unless another job of the same session is open; an empty `job_id` held none. A second time it
    frees no more sessions, but corrects the tokens again: send it once.
    """
    return Release(tuple(bucket_names), day, used - reserved, job_id, session).packed()
