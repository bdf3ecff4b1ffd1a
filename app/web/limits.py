"""Limits at the door: taking from them before a job is admitted, and telling them on each answer.

Three families of headers speak of one limiter: `X-RateLimit-*` (unix time), OpenAI's
`x-ratelimit-*-requests` and `-tokens` (durations as Go writes them), and `RateLimit-Policy` with
`RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4).
"""

import math

from flask import Response, after_this_request, g, request

from app.errors import RateLimited, Unavailable
from app.jobs.model import Draft
from app.jobs.service import Admission
from app.limits.model import Ask, Standing
from app.web.application import current
from app.web.auth import caller
from app.web.front import Front
from app.web.head import HEAD

LEASE_SPARE_S = 60.0
MINUTE_S, DAY_S = 60, 86_400


def admit(front: Front, draft: Draft) -> Admission:
    """Admits a job within its caller's limits. Raises RateLimited, and what `Jobs.admit` raises:
    what was taken from the limits is given back then, but for the request itself, unless the
    job's admission is in doubt."""
    ask = Ask(
        buckets=caller().buckets,
        tokens=draft.reserved,
        job_id=draft.id,
        session=draft.session,
        holds_session=draft.holds_session,
        lease_s=draft.deadline_s + LEASE_SPARE_S,
    )
    standing: Standing = front.limiter.take(ask)
    g.standing = standing
    if standing.refused is not None:
        raise _refusal(standing)
    if not standing.shared:
        draft.reserved = 0
        _end_with_answer(front, ask, standing)
    try:
        admission = front.jobs.admit(draft)
    except Exception as error:
        # A job that may be there gives back itself, at its end.
        if not getattr(error, "in_doubt", False):
            _give_back(front, ask, standing)
        raise
    if admission.job_id != draft.id:
        _give_back(front, ask, standing)
    if admission.warning is not None:
        _warn(admission.warning)
    return admission


def take_request(front: Front) -> None:
    """Counts a request that makes no job among its caller's. Raises RateLimited."""
    standing = front.limiter.take(Ask(caller().buckets, 0, "", None, False, 0.0))
    g.standing = standing
    if standing.refused is not None:
        raise _refusal(standing)


def _give_back(front: Front, ask: Ask, taken: Standing) -> None:
    front.limiter.give_back(ask, taken)
    # So that the headers tell how it stands now.
    g.standing = None


def _warn(budget_id: str) -> None:
    @after_this_request
    def tell(answer: Response) -> Response:
        answer.headers["X-Budget-Warning"] = f"{budget_id}; soft limit reached"
        return answer


def _end_with_answer(front: Front, ask: Ask, taken: Standing) -> None:
    """What this process alone has taken, it alone gives back: when the answer has been sent."""

    @after_this_request
    def on_close(answer: Response) -> Response:
        answer.call_on_close(lambda: front.limiter.ended(ask, taken, ask.tokens))
        return answer


def _refusal(standing: Standing) -> RateLimited:
    limit, wait_s = standing.refused_limit, standing.retry_after_s
    if standing.refused == "tokens":
        return RateLimited(
            f"This request may use more tokens than are left of today's {limit:,}. "
            "Lower max_tokens, or come back after midnight UTC.",
            retry_after=math.ceil(wait_s),
            should_retry=False,
            extra={"limit": "tokens_per_day"},
        )
    if standing.refused == "sessions":
        message = f"All {limit:,} concurrent sessions are in use; end one, or wait for it."
        name = "sessions"
    else:
        message = f"The limit of {limit:,} requests a minute is reached."
        name = "requests_per_minute"
    return RateLimited(message, retry_after=math.ceil(wait_s), extra={"limit": name})


def tell_limits(front: Front, answer: Response) -> Response:
    """Adds the limits' headers to an answer to somebody whose credential is good."""
    here = current(g)
    principal = here.get("principal")
    if principal is None:
        return answer
    try:
        standing: Standing = here.get("standing") or front.limiter.peek(principal.buckets)
    except Unavailable:
        # Neither Redis nor the books know how many tokens are left.
        return answer
    lines = limit_lines(standing)
    head = request.environ.get(HEAD)
    if head is not None:
        head.append(lines.encode())
    else:
        for line in lines.splitlines():
            name, _, value = line.partition(": ")
            answer.headers[name] = value
    return answer


def limit_lines(standing: Standing) -> str:
    """The header lines of all three families; none for what has no limit."""
    lines, policies, states = "", "", ""
    requests, tokens = standing.requests, standing.tokens
    if requests.limit is not None:
        limit, remaining, reset_s = requests
        lines = (
            f"X-RateLimit-Limit: {limit}\r\n"
            f"X-RateLimit-Remaining: {remaining}\r\n"
            f"X-RateLimit-Reset: {math.ceil(standing.now_s + reset_s)}\r\n"
            f"x-ratelimit-limit-requests: {limit}\r\n"
            f"x-ratelimit-remaining-requests: {remaining}\r\n"
            f"x-ratelimit-reset-requests: {go_duration(reset_s)}\r\n"
        )
        policies = f'"requests";q={limit};w={MINUTE_S}'
        states = f'"requests";r={remaining};t={math.ceil(reset_s)}'
    if tokens.limit is not None:
        limit, remaining, reset_s = tokens
        lines += (
            f"x-ratelimit-limit-tokens: {limit}\r\n"
            f"x-ratelimit-remaining-tokens: {remaining}\r\n"
            f"x-ratelimit-reset-tokens: {go_duration(reset_s)}\r\n"
        )
        between = ", " if policies else ""
        policies += f'{between}"tokens";q={limit};w={DAY_S}'
        states += f'{between}"tokens";r={remaining};t={math.ceil(reset_s)}'
    if policies:
        lines += f"RateLimit-Policy: {policies}\r\nRateLimit: {states}\r\n"
    return lines


def go_duration(seconds: float) -> str:
    """Seconds as Go writes a duration (https://pkg.go.dev/time#Duration.String), to the
    millisecond: `1m0s`, `6h12m3.5s`, `350ms`, `0s`."""
    whole_ms = max(0, math.ceil(seconds * 1000))
    if whole_ms < 1000:
        return f"{whole_ms}ms" if whole_ms else "0s"
    minutes, rest_ms = divmod(whole_ms, 60_000)
    text = f"{rest_ms / 1000:g}s" if rest_ms % 1000 else f"{rest_ms // 1000}s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{text}"
    return f"{minutes}m{text}" if minutes else text
