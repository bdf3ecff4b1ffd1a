"""`routing`: which model the router would choose for a request, without asking it."""

from typing import Any

import orjson

from app.errors import ModelNotFound
from app.uniroute.model import ANSWER_PREFIX
from workers.chores.base import Chore
from workers.inference.context import last_said


class Decide(Chore):
    """Decides and writes nothing, so that a second attempt does no harm."""

    def work(self) -> dict[str, Any]:
        request = orjson.loads(self.job.request)
        options = {**(request.get("extra_body") or {}), **request}
        assert self.parts.choices is not None, "every desk makes choices"
        text = last_said(request["messages"])
        weight = options.get("cost_weight") or 0.0
        choice = self.parts.choices.of(request["asked"]["router"], text, weight)
        if choice is None:
            raise ModelNotFound("No candidate is configured any more.", param="models")
        return {
            "id": ANSWER_PREFIX + self.job.id.removeprefix("job_"),
            "object": "routing",
            "created": int(self.job.created_s),
            "model": choice.routing["selected_model"],
            "routing": choice.routing,
        }
