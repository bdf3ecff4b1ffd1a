"""How jobs and their events look to a client."""

from typing import Any

import orjson

from app.events.log import QUEUED, Event
from app.jobs.model import STATUS, JobRow
from app.web.results import result_of
from app.web.sse import frame


def job_object(job: JobRow) -> dict[str, Any]:
    """The job object of the API."""
    return {
        "id": job.id,
        "object": "job",
        "kind": job.kind,
        "status": STATUS[job.state],
        "created_at": int(job.created_s),
        "started_at": _whole(job.started_s),
        "finished_at": _whole(job.finished_s),
        "model": job.model,
        "lane": job.lane,
        "app_id": job.app_id,
        "queue_position": job.queue_position,
        "attempts": job.attempt,
        "result": result_of(job),
        "error": job.error,
        "usage": job.usage,
        "metadata": job.metadata or {},
        "run_at": _whole(job.run_at_s),
        "not_after": _whole(job.not_after_s),
        "retry_of": job.retry_of,
        "retried_by": job.retried_by,
        "content_deleted_at": _whole(job.forgotten_s),
        "urls": urls(job.id),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def answer_headers(job_id: str) -> dict[str, str]:
    """The headers by which a client finds its job again."""
    return {"x-request-id": "req_" + job_id.removeprefix("job_"), "x-job-id": job_id}


def urls(job_id: str) -> dict[str, str]:
    """Where a job is read, followed and cancelled."""
    home = f"/v1/jobs/{job_id}"
    return {"self": home, "events": f"{home}/events", "cancel": f"{home}/cancel"}


def queued_frame(job: JobRow) -> bytes:
    """The `queued` event, which opens every job's events."""
    data = {"job_id": job.id, "status": "queued", "created_at": int(job.created_s)}
    return frame(str(QUEUED), "queued", orjson.dumps(data))


def native_frame(event: Event) -> bytes:
    """An event as `/v1/jobs/{id}/events` sends it."""
    data = event.data
    if event.name == "delta":
        choices = [orjson.loads(choice) for choice in data.split(b"\n")]
        text = [c["delta"].get("content") or "" for c in choices if c["index"] == 0]
        data = orjson.dumps({"text": "".join(text), "choices": choices})
    return frame(str(event.id), event.name, data)
