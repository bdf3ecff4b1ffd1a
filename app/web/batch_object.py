"""A batch as OpenAI shows it."""

from typing import Any

from app.batches.model import ENDED, Batch
from app.money import usd


def batch_object(batch: Batch) -> dict[str, Any]:
    """The batch as OpenAI shows it, with its priority, its progress and what it costs."""
    ended: dict[str, int | None] = {f"{end}_at": None for end in sorted(ENDED)}
    if batch.status in ENDED:
        ended[f"{batch.status}_at"] = _unix(batch.ended_s)
    errors = None if batch.errors is None else {"object": "list", "data": batch.errors}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "errors": errors,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": int(batch.created_s),
        "in_progress_at": _unix(batch.in_progress_s),
        "expires_at": int(batch.expires_s),
        "finalizing_at": _unix(batch.finalizing_s),
        "cancelling_at": _unix(batch.cancelling_s),
        **ended,
        "request_counts": {
            "total": batch.total, "completed": batch.completed, "failed": batch.unanswered,
        },
        "usage": {
            "input_tokens": batch.prompt_tokens,
            "input_tokens_details": {"cached_tokens": batch.cached_tokens},
            "output_tokens": batch.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
            "total_tokens": batch.prompt_tokens + batch.completion_tokens,
        },
        "metadata": batch.metadata,
        "priority": batch.priority,
        "run_at": _unix(batch.run_at_s),
        "retry_of": batch.retry_of,
        "cost_usd": usd(batch.cost),
        "cost_nanos": batch.cost,
        "progress": {
            "in_flight": batch.dispatched - batch.ended,
            "rate": round(batch.rate, 2),
            "estimated_end_at": _unix(batch.done_at_s),
        },
    }  # fmt: skip


def _unix(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
