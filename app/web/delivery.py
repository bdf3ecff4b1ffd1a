"""Jobs that are not to be stored (`store: false`): their content is forgotten as soon as a client
has been sent how they ended.

Sent means that the server took the last byte from a client that was still there. What is missed
here, because nobody came, a process died or Redis was away, `sweep_undelivered` does an hour later.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
from flask import Response, after_this_request, request

from app.errors import Gone, MoonpoolError
from app.jobs.forget import forget_delivered
from app.jobs.model import Draft, JobRow
from app.telemetry import log
from app.web.front import Front
from app.web.sse import client_gone

Forget = Callable[[], object]


def forgetting(front: Front, job: Draft | JobRow) -> Forget | None:
    """What is to be called once the end of `job` has been sent; None if its content is kept. It
    returns at once: the client that has its answer does not wait for it to be forgotten."""
    return None if job.store else partial(gevent.spawn, _forget, front, job.id)


def when_sent(forget: Forget | None) -> None:
    """Has `forget` called once the response to the request in hand, an error too, has been sent.
    Call it when that response is sure to tell how the job ended."""
    if forget is None:
        return
    environ = request.environ

    @after_this_request
    def watch(response: Response) -> Response:
        body = response.get_data()
        response.response = _watched(body, environ, forget)
        response.content_length = len(body)
        # So that nobody reads the body before the client does.
        response.direct_passthrough = True
        return response


def unless_deleted(front: Front, draft: Draft) -> None:
    """Raises Gone if the job that an Idempotency-Key stands for has lost its content."""
    refuse_deleted(front.jobs.find(draft.id, draft.tenant_id))


def refuse_deleted(job: JobRow) -> None:
    """Raises Gone for a job without content."""
    if job.forgotten_s is not None:
        raise Gone(
            f"The content of {job.id} has been deleted, so its answer cannot be given again. Use a "
            "new Idempotency-Key for a new answer.",
            extra={"job_id": job.id},
        )


def _watched(body: bytes, environ: dict[str, Any], forget: Forget) -> Iterator[bytes]:
    there = not client_gone(environ)
    yield body
    # The server asks for more only after it has written what it got.
    if there:
        forget()


def _forget(front: Front, job_id: str) -> None:
    try:
        forget_delivered(front.reads, front.settings.redis, job_id)
    except MoonpoolError as error:
        log("web").warning("not forgotten yet", job_id=job_id, error=str(error))
