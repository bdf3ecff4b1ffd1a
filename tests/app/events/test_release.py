"""The end of a job and what it had reserved: corrected before anybody can read that it ended."""

import re
import time

from app.events.log import stream_key
from app.events.publish import Publisher
from app.limits.limiter import Limiter
from app.limits.model import day_of
from app.limits.release import Release
from app.redis import Wire
from tests.app.events.parts import Speaker, names, stream
from tests.app.line import draft
from tests.app.taking import take, taken

SAID = re.compile(rb'"(EVAL)" |"XADD" .* "e" "([a-z]+)" "d" ')
"""Of a line that MONITOR gives: the command that corrects limits, or the event that is written."""


def begun(publisher: Publisher, limiter: Limiter) -> Speaker:
    """A job that has taken 500 tokens and a session, and has begun to speak."""
    one = take(limiter, draft("ten_a"), 500)
    speaker = Speaker(publisher, one.id)
    speaker.begin()
    speaker.say("a")
    speaker.flush()
    return speaker


def end(speaker: Speaker) -> None:
    """Ends it with 42 tokens used."""
    speaker.log.release = Release(
        ("ten_a", "key_x"), day_of(time.time()), 42 - 500, speaker.log.job_id, None
    )
    speaker.end()
    speaker.flush()


def test_limits_are_corrected_before_the_end_is_told(
    publisher: Publisher, redis: str, wire: Wire, limiter: Limiter
) -> None:
    """Redis takes commands in turn, so whoever reads the terminal event finds them corrected."""
    speaker = begun(publisher, limiter)
    assert taken(limiter, wire, "ten_a") == (500, 1)
    monitor = Wire(redis)
    monitor.call(("MONITOR",))
    end(speaker)
    wire.call(("ECHO", "enough"))
    commands = []
    while b"enough" not in (line := monitor.read()):
        if (said := SAID.search(line)) is not None:
            commands.append(said[1] or said[2])
    monitor.close()
    assert commands == [b"EVAL", b"usage", b"completed"]
    assert taken(limiter, wire, "ten_a") == (42, 0)


def test_an_end_that_meets_a_lost_stream_corrects_the_limits(
    publisher: Publisher, wire: Wire, limiter: Limiter
) -> None:
    speaker = begun(publisher, limiter)
    wire.call(("DEL", stream_key(speaker.log.job_id)))
    end(speaker)
    assert taken(limiter, wire, "ten_a") == (42, 0)
    assert names(stream(wire, speaker.log.job_id)) == ["usage", "completed"]
