"""What the router would have chosen for requests that named a model: logged and counted once they
have been answered, and of no effect on them."""

from typing import TYPE_CHECKING, Any

import gevent
import orjson
from gevent.lock import BoundedSemaphore

from app.catalogue.model import Catalogue, Model
from app.db.reads import Reads
from app.errors import MoonpoolError
from app.jobs.model import Claimed
from app.telemetry import log
from app.uniroute.model import Seen
from app.uniroute.store import count_seen
from workers.inference.choice import Choices
from workers.inference.context import last_said

if TYPE_CHECKING:
    from app.uniroute.decide import Decision

FLUSH_S = 5.0


class Shadow:
    """Looks at one request at a time, and passes over those that end meanwhile: under load it is a
    sample."""

    def __init__(self, choices: Choices, catalogue: Catalogue, reads: Reads) -> None:
        self._choices, self._catalogue, self._reads = choices, catalogue, reads
        self._turn = BoundedSemaphore(1)
        self._seen: dict[tuple[str, str], Seen] = {}
        self._flusher: Any = None

    def consider(self, job: Claimed) -> None:
        """Looks at a request that has been answered, beside the caller."""
        if job.kind == "chat.completion" and self._turn.acquire(blocking=False):
            gevent.spawn(self._look, job)

    def _look(self, job: Claimed) -> None:
        try:
            self._decide(job)
        except MoonpoolError as error:
            log("router").warning("no shadow decision", job_id=job.id, error=str(error))
        finally:
            self._turn.release()

    def _decide(self, job: Claimed) -> None:
        told = orjson.loads(job.request)
        options = {**(told.get("extra_body") or {}), **told}
        asked = self._catalogue.find(told.get("model"), options.get("provider"))
        router = self._choices.router()
        if asked is None or asked.id not in router.profile.models or asked.stands_on is not None:
            return
        found = {name: self._catalogue.models.get(name) for name in router.profile.models}
        models = {
            name: model
            for name, model in found.items()
            if model is not None and self._able(model, options)
        }
        models[asked.id] = asked
        text = last_said(told.get("messages") or ())
        self._note(job.id, asked.id, self._choices.decide(router, text, models))

    def _able(self, model: Model, options: dict[str, Any]) -> bool:
        if model.spec.does != "chat" or model.stands_on is not None:
            return False
        return any(self._catalogue.unable(model, route, options) is None for route in model.routes)

    def _note(self, job_id: str, asked: str, made: "Decision") -> None:
        named = next(one for one in made.scores if one.model == asked)
        chosen = made.scores[0]
        log("router").info(
            "routing shadow", job_id=job_id, asked=asked, chosen=chosen.model,
            asked_error=round(named.expected_error, 6), asked_cost=round(named.cost, 6),
            chosen_error=round(chosen.expected_error, 6), chosen_cost=round(chosen.cost, 6),
        )  # fmt: skip
        seen = self._seen.setdefault((asked, chosen.model), Seen())
        seen.requests += 1
        seen.asked_error += named.expected_error
        seen.chosen_error += chosen.expected_error
        seen.asked_cost += named.cost
        seen.chosen_cost += chosen.cost
        if self._flusher is None or self._flusher.dead:
            self._flusher = gevent.spawn_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Writes what was counted since the last time. With the database away it is lost."""
        seen, self._seen = self._seen, {}
        try:
            self._reads.run(lambda c: count_seen(c, seen))
        except MoonpoolError as error:
            log("router").warning("shadow not counted", count=len(seen), error=str(error))
