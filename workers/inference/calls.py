"""The provider calls of one attempt: each route that the plan names, until one has said its first
token."""

import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.catalogue.model import Catalogue, Model
from app.settings import Settings
from workers.inference.course import AllFailed, Course, Ongoing
from workers.inference.race import Race
from workers.inference.routing import Routing, Way, ways
from workers.providers.base import (
    Answer,
    Call,
    Chunk,
    Completion,
    Provider,
    ProviderError,
    operator,
)
from workers.providers.registry import Providers

__all__ = ["AllFailed", "Calls", "Interrupted", "Way", "ways_of"]

Whole = TypeVar("Whole", Completion, Answer)


class Interrupted(Exception):
    """A provider failed after its first token."""

    def __init__(self, provider: str, error: ProviderError) -> None:
        super().__init__(error.message)
        self.provider, self.error = provider, error


@dataclass(slots=True)
class Calls:
    """Makes the calls of one attempt and notes each in `made`, as `/attempts` shows them; `tried`
    holds the way of each. `deadline` and `own_keys` are those of a Course."""

    settings: Settings
    providers: Providers
    ways: list[Way]
    request: dict[str, Any]
    attempt: int
    routing: Routing = field(default_factory=Routing)
    deadline: float = math.inf
    own_keys: Collection[str] = ()
    answered: Way | None = None
    first_token_s: float | None = None
    usage: dict[str, Any] | None = None
    made: list[dict[str, Any]] = field(init=False)
    tried: list[Way] = field(init=False)
    _course: Course = field(init=False)

    def __post_init__(self) -> None:
        self._course = Course(
            self.settings, self.ways, self.request, self.attempt, self.routing, self.deadline,
            self.own_keys,
        )  # fmt: skip
        self.made, self.tried = self._course.made, self._course.tried

    def complete(self) -> Completion:
        """A whole completion. Raises AllFailed."""
        return self._whole(lambda provider, call: provider.complete(call))

    def operate(self, operation: str) -> Answer:
        """The answer to what is no conversation. Raises AllFailed."""
        return self._whole(lambda provider, call: operator(provider, operation)(call))

    def _whole(self, ask: Callable[[Provider, Call], Whole]) -> Whole:
        course = self._course
        while True:
            ongoing = course.next()
            try:
                answer = ask(self.providers.get(ongoing.way.route.provider), ongoing.call)
            except ProviderError as error:
                course.failed(ongoing, error, self.usage)
            else:
                self._spoke(ongoing, whole=True)
                self.usage = answer.usage
                course.completed(ongoing, self.usage)
                return answer
            finally:
                course.leave(ongoing)

    def stream(self) -> Iterator[Chunk]:
        """The chunks of an answer. Raises AllFailed before the first, Interrupted after it."""
        course = self._course
        while True:
            running = [course.next()]
            held: list[Chunk] = []
            chunks = self._chunks(running)
            try:
                for chunk in chunks:
                    self.usage = chunk.usage or self.usage
                    if self.answered is None:
                        held.append(chunk)
                        if not any(map(_says, chunk.choices)):
                            continue
                        self._spoke(running[0])
                        yield _joined(held)
                    else:
                        yield chunk
            except ProviderError as error:
                course.failed(running[0], error, self.usage)
                if self.answered is not None:
                    raise Interrupted(running[0].way.route.provider, error) from error
                self.usage = None
            else:
                course.completed(running[0], self.usage)
                return
            finally:
                _close(chunks)
                for ongoing in running:
                    course.leave(ongoing)

    def _spoke(self, ongoing: Ongoing, whole: bool = False) -> None:
        self.answered, self.first_token_s = ongoing.way, time.monotonic()
        self._course.spoke(ongoing, whole)

    def _chunks(self, running: list[Ongoing]) -> Iterator[Chunk]:
        """The chunks of the one call of `running`, or of whichever speaks first of it and one that
        is made beside it."""
        [first] = running
        after_s = first.way.hedge_after_s
        if after_s is None or len(self.ways) == 1 or acts_elsewhere(self.request):
            return self._stream_of(first)
        return self._hedged(running, after_s)

    def _stream_of(self, ongoing: Ongoing) -> Iterator[Chunk]:
        return self.providers.get(ongoing.way.route.provider).stream(ongoing.call)

    def _hedged(self, running: list[Ongoing], after_s: float) -> Iterator[Chunk]:
        """Leaves in `running` the call whose chunks it gives, or whose error it raises."""
        race: Race[Ongoing] = Race()
        try:
            race.enter(running[0], self._stream_of(running[0]))
            held, more = self._first_to_speak(race, running, after_s)
            yield from held
            while more:
                heard = race.next()
                if heard is None or heard[1] is None:
                    return
                if isinstance(heard[1], Exception):
                    raise heard[1]
                yield heard[1]
        finally:
            race.close()

    def _first_to_speak(
        self, race: Race[Ongoing], running: list[Ongoing], after_s: float
    ) -> tuple[list[Chunk], bool]:
        """What the call had said when it spoke, and whether there is more to come."""
        course, late = self._course, time.monotonic() + after_s
        alone = True
        held: dict[int, list[Chunk]] = {}
        while True:
            heard = race.next(max(0.0, late - time.monotonic()) if alone else None)
            if heard is None:
                alone, second = False, course.second()
                if second is not None:
                    running.append(second)
                    race.enter(second, self._stream_of(second))
                continue
            ongoing, told = heard
            if isinstance(told, ProviderError) and len(running) > 1:
                race.drop(ongoing)
                running.remove(ongoing)
                course.failed(ongoing, told, None)
                continue
            if isinstance(told, Exception):
                raise told
            said = held.setdefault(ongoing.index, [])
            if told is not None:
                said.append(told)
                if not any(map(_says, told.choices)):
                    continue
            for other in [one for one in running if one is not ongoing]:
                race.drop(other)
                running.remove(other)
                course.outpaced(other)
            return said, told is not None


def acts_elsewhere(request: dict[str, Any]) -> bool:
    """Whether the provider itself would run tools, which it must not do twice. Functions are the
    client's to run, and run once whichever call is heard."""
    tools = request.get("tools") or ()
    return any(not isinstance(tool, dict) or tool.get("type") != "function" for tool in tools)


def ways_of(
    catalogue: Catalogue, model: Model, fallbacks: list[str], asked: dict[str, Any]
) -> list[Way]:
    """All routes of a model, then those of its fallbacks, but for those that cannot honour a field
    of the request `asked`. Of these, if there is no other: the provider says what is wrong."""
    others = [catalogue.find(name) for name in fallbacks]
    models = [model, *(other for other in others if other is not None)]
    found = ways(catalogue, models)
    if len(found) == 1 or model.spec.does != "chat":
        return found
    able = [way for way in found if catalogue.unable(way.model, way.route, asked) is None]
    return able or found


def _says(choice: dict[str, Any]) -> bool:
    """Whether a choice is more than the role that opens a stream."""
    if choice.get("finish_reason"):
        return True
    return any(value for name, value in choice["delta"].items() if name != "role")


def _joined(held: list[Chunk]) -> Chunk:
    if len(held) == 1:
        return held[0]
    return Chunk([choice for chunk in held for choice in chunk.choices], held[-1].usage)


def _close(chunks: Iterator[Chunk]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
