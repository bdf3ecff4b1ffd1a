"""Waiting for a whole answer while the client's connection stays open."""

import re
import time
from typing import Any

from app.errors import Cancelled, from_job_error
from app.jobs.tail import Tail
from app.web.delivery import Forget, refuse_deleted, when_sent
from app.web.front import Front
from app.web.sse import TICK_S, client_gone

WAIT_S = 30.0
"""How long a client waits that asks to, without saying how long."""

_WAIT = re.compile(r"\bwait(?:=(\d{1,5}))?\b")


def asked_wait(prefer: str) -> float | None:
    """The seconds that a Prefer header (RFC 7240, section 4.3) asks to wait; None if it does not
    speak of it."""
    found = _WAIT.search(prefer)
    if found is None:
        return None
    return float(found[1]) if found[1] else WAIT_S


def answer_when_done(
    front: Front, tail: Tail, wait_s: float | None, leave: bool, environ: dict[str, Any],
    forget: Forget | None = None,
) -> bytes | None:  # fmt: skip
    """The completion as JSON once the job has ended; None if that took longer than `wait_s`.

    If the client goes away meanwhile and `leave` is set, the job is cancelled. `forget` is called
    once how the job ended has been sent. Raises the error of a job that failed.
    """
    until = None if wait_s is None else time.monotonic() + wait_s
    try:
        while not tail.ended:
            left = TICK_S if until is None else min(TICK_S, until - time.monotonic())
            if left <= 0:
                return None
            if not tail.wait(left) and leave and client_gone(environ):
                tail.cancel()
                leave = False
        return _ended(front, tail, forget)
    finally:
        tail.close()


def _ended(front: Front, tail: Tail, forget: Forget | None) -> bytes:
    if tail.result is not None:
        when_sent(forget)
        return tail.result
    job = front.jobs.find(tail.job_id, tail.tenant_id)
    refuse_deleted(job)
    when_sent(forget)
    if job.body is not None and job.state in ("completed", "cancelled"):
        return job.body.encode()
    if job.state == "cancelled":
        raise Cancelled("The job was cancelled.")
    raise from_job_error(job.error if isinstance(job.error, dict) else None)
