"""Giving back: what a job held, as one command for whoever's pipeline is at hand."""

from collections.abc import Sequence

from app.limits.model import prefix_of, session_name
from app.redis import pack

_RELEASE = """\
local c=redis.call
local t=c('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local day,more,job,session=ARGV[1],tonumber(ARGV[2]),ARGV[3],ARGV[4]
for _,p in ipairs(KEYS) do
local k=p..'tok:'..day
if more~=0 and c('EXISTS',k)==1 and c('INCRBY',k,more)<0 then c('SET',k,0,'KEEPTTL') end
if session=='' then c('ZREM',p..'ses',job) else
local jobs=p..'ses:'..session
c('ZREM',jobs,job)
c('ZREMRANGEBYSCORE',jobs,'-inf',now)
if c('EXISTS',jobs)==0 then c('ZREM',p..'ses','s:'..session) end
end
end
return 1"""
"""Keys: prefixes of buckets. Arguments: the day of the take, tokens to add to its counter, job id,
session's name or nothing. Sent as text each time, so that a Redis that was restarted knows it.
`take.lua` explains the keys."""


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
    unless another job of the same session is open. A second time it frees no more sessions, but
    corrects the tokens again: send it once.
    """
    return pack(
        "EVAL", _RELEASE, len(bucket_names), *map(prefix_of, bucket_names),
        day, used - reserved, job_id, session_name(session),
    )  # fmt: skip
