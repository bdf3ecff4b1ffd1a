"""Records of feedback and of what it moved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple

from app.evolution.drift import Bounds, Drift, keeps, millionths
from app.settings import Settings

Direction = Literal["more", "less"]
ChangeKind = Literal["feedback", "replaced", "rollback", "bound"]


@dataclass(frozen=True, slots=True)
class Terms:
    """The operator's terms: the baseline of each trait that may drift, in millionths, and how
    far."""

    baseline: Mapping[str, int]
    bounds: Bounds

    @classmethod
    def of(cls, personality: Mapping[str, float], settings: Settings) -> "Terms":
        """The terms of a catalogue's `personality` and of the settings."""
        bounds = Bounds(millionths(settings.drift_total), millionths(settings.drift_daily))
        return cls({name: millionths(value) for name, value in personality.items()}, bounds)


@dataclass(frozen=True, slots=True)
class RatedJob:
    """What of a job feedback needs. `asked`: the personality traits that its request named, 0 to 1.
    `used`: the memories that its answer was given. `forgotten`: its content was deleted."""

    id: str
    kind: str
    model: str
    provider: str | None
    ended: bool
    forgotten: bool
    asked: Mapping[str, float]
    used: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewFeedback:
    """Feedback to be given. `rating`: -1 to 1. `traits`: those of which it wants more or less."""

    rating: float
    reason: str | None = None
    correction: str | None = None
    traits: Mapping[str, Direction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Move:
    """How far an adaptation moved a trait, from and to which value, in millionths."""

    id: str
    trait: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """Feedback as it was given. `weighed`: how far it moved memories' importance, by their id.
    `replaced_by`: the later feedback on the same job, if there is one."""

    id: str
    job_id: str
    key_id: str
    kind: str
    model: str
    provider: str | None
    rating: float
    traits: Mapping[str, Direction]
    reason: str | None
    correction: str | None
    weighed: Mapping[str, float]
    created_at: datetime
    replaced_by: str | None
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class TraitRow:
    """A trait as it was last moved: its drift, and the terms of then."""

    trait: str
    baseline: int
    bounds: Bounds
    drift: Drift
    day: date


@dataclass(frozen=True, slots=True)
class Change:
    """One move of a trait. `before` and `after` are drifts, `kept` is what of an adaptation stands;
    all in millionths. `undone_by`: the change that took it back. `job_id`, `rating` and `reason`
    are those of the feedback that caused it."""

    id: str
    seq: int
    kind: ChangeKind
    trait: str
    baseline: int
    before: int
    after: int
    kept: int
    undone_by: str | None
    feedback_id: str | None
    actor: str | None
    at: datetime
    job_id: str | None = None
    rating: float | None = None
    reason: str | None = None


class Standing(NamedTuple):
    """An adaptation that stands: what of it is kept, in millionths."""

    id: str
    seq: int
    trait: str
    kept: int


class Span(NamedTuple):
    """Changes of a tenant by their numbers, both ends among them."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TraitState:
    """A trait now, in millionths."""

    name: str
    baseline: int
    drift: Drift


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the check's name, the row, and what is wrong with it."""

    check: str
    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a tenant's traits stand on a day. `generation`: adaptations that stand; `adaptations`:
    all of them. `broken`: what `violations` found of this tenant."""

    day: date
    generation: int
    adaptations: int
    traits: tuple[TraitState, ...]
    bounds: Bounds
    changes: tuple[Change, ...]
    broken: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        """Whether the invariant holds: for what is shown, and for all rows that led there."""
        shown = (keeps(state.drift, state.baseline, self.bounds) for state in self.traits)
        return not self.broken and all(shown)


@dataclass(frozen=True, slots=True)
class Rollback:
    """What to undo: one adaptation, those after the first `to_generation` that stand, or all."""

    change_id: str | None = None
    to_generation: int = 0
