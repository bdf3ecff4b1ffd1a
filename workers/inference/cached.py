"""Answers from the cache: what a request is known by, and a kept answer told again."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from app.cache.store import CachedAnswer, find_answer, keep_answer
from app.catalogue.model import Model
from app.db.reads import Reads
from app.errors import MoonpoolError
from app.telemetry import log
from workers.providers.base import Answer, Chunk, Completion

_WITHOUT_MEANING = frozenset({
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is kept, and for how long."""

    tenant_id: str
    key: str
    ttl_s: int


def place_of(
    tenant_id: str, model: Model, provider: str | None, request: dict[str, Any], ttl_s: int
) -> Place:
    """The place of a provider's `request` to `model`: all that may change the answer counts, the
    persona and the seed too."""
    asked = {name: value for name, value in request.items() if name not in _WITHOUT_MEANING}
    told = orjson.dumps([model.id, provider, asked], option=orjson.OPT_SORT_KEYS)
    return Place(tenant_id, hashlib.sha256(told).hexdigest(), ttl_s)


class AnswerCache:
    """The cache as a worker process uses it. Its database away means no cache, never a failure."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def find(self, place: Place) -> CachedAnswer | None:
        """What is kept at `place`, or None."""
        try:
            return self._reads.run(lambda c: find_answer(c, place.tenant_id, place.key))
        except MoonpoolError as error:
            log("worker").warning("cache not read", error=str(error))
            return None

    def keep(self, place: Place, job_id: str) -> None:
        """Lets the answer of a job that has been settled stand for its request."""
        try:
            self._reads.run(
                lambda c: keep_answer(c, place.tenant_id, place.key, job_id, place.ttl_s)
            )
        except MoonpoolError as error:
            log("worker").warning("answer not cached", job_id=job_id, error=str(error))


def told_again(cached: CachedAnswer) -> tuple[Completion | Answer, dict[str, Any]]:
    """A kept answer and its usage, which says where it comes from; the costs of old are not in
    it."""
    body = orjson.loads(cached.body)
    usage = {n: v for n, v in body.pop("usage").items() if not n.endswith(("_usd", "_ms"))}
    usage["cached_answer"] = {"job_id": cached.job_id, "age_s": round(cached.age_s)}
    if "choices" in body:
        return Completion(body["choices"], usage), usage
    body.pop("model", None)
    return Answer(body, usage), usage


def as_chunk(completion: Completion) -> Chunk:
    """A whole completion as one chunk of a stream."""
    choices = []
    for choice in completion.choices:
        delta = {name: value for name, value in choice["message"].items() if value is not None}
        if "tool_calls" in delta:
            calls = enumerate(delta["tool_calls"])
            delta["tool_calls"] = [{"index": at, **call} for at, call in calls]
        choices.append({**{n: v for n, v in choice.items() if n != "message"}, "delta": delta})
    return Chunk(choices, completion.usage)
