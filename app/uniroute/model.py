"""What passes between the router's rooms, without numbers to reckon with: a web process, which has
no vectors and loads numpy only to tell what a profile expects, knows it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

AUTO = "auto"
"""The model's name that leaves the choice to the router."""

ROUTED = frozenset({"chat.completion", "text_completion", "response", "message"})
"""Kinds of job whose model may be chosen."""

AUTO_IS_FOR = "it is for /v1/chat/completions, /v1/completions, /v1/responses and /v1/messages"
"""Where that is, as a refusal elsewhere tells it."""

DECISION_KIND = "routing"
"""The kind of a job that decides and asks no model."""

ANSWER_PREFIX = "router-"
"""What ids of the router's answers begin with in place of their job's `job_`."""

DEFAULT = Path(__file__).with_name("default.json")


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a tenant found the answer of a routed request. `model`: by its name in the profile;
    `clusters`: how much of each cluster the prompt is; `wrong`: 0, as good as can be, to 1."""

    tenant_id: str
    model: str
    clusters: Mapping[int, float]
    wrong: float


@dataclass(slots=True)
class Seen:
    """Requests that shadow mode looked at: how many, and sums over them of what was expected of
    the model that they named and of the one that would have been chosen."""

    requests: int = 0
    asked_error: float = 0.0
    chosen_error: float = 0.0
    asked_cost: float = 0.0
    chosen_cost: float = 0.0
