"""The provider calls of one attempt: each route in turn until one has said its first token."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gevent

from app.catalogue.model import Catalogue, Model, Route
from app.settings import Settings
from workers.inference.plan import next_step
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

Whole = TypeVar("Whole", Completion, Answer)


class AllFailed(Exception):
    """No route gave a first token; `failures` says why."""

    def __init__(self, failures: list[tuple[str, ProviderError]]) -> None:
        super().__init__("all providers failed")
        self.failures = failures


class Interrupted(Exception):
    """A provider failed after its first token."""

    def __init__(self, provider: str, error: ProviderError) -> None:
        super().__init__(error.message)
        self.provider, self.error = provider, error


@dataclass(slots=True)
class Way:
    """A route and the model that is billed if it answers."""

    model: Model
    route: Route


@dataclass(slots=True)
class Calls:
    """Makes the calls of one attempt and notes each in `made`, as `/attempts` shows them; `tried`
    holds the way of each."""

    settings: Settings
    providers: Providers
    ways: list[Way]
    request: dict[str, Any]
    attempt: int
    made: list[dict[str, Any]] = field(default_factory=list)
    tried: list[Way] = field(default_factory=list)
    answered: Way | None = None
    first_token_s: float | None = None
    usage: dict[str, Any] | None = None

    def complete(self) -> Completion:
        """A whole completion. Raises AllFailed."""
        return self._whole(lambda provider, call: provider.complete(call))

    def operate(self, operation: str) -> Answer:
        """The answer to what is no conversation. Raises AllFailed."""
        return self._whole(lambda provider, call: operator(provider, operation)(call))

    def _whole(self, ask: Callable[[Provider, Call], Whole]) -> Whole:
        failures: list[tuple[int, ProviderError]] = []
        while True:
            way, call = self._next(failures)
            try:
                answer = ask(self.providers.get(way.route.provider), call)
            except ProviderError as error:
                self._failed(failures, way, error)
                continue
            self._spoke(way)
            self.usage = answer.usage
            self._ended("completed", None)
            return answer

    def stream(self) -> Iterator[Chunk]:
        """The chunks of an answer. Raises AllFailed before the first, Interrupted after it."""
        failures: list[tuple[int, ProviderError]] = []
        while True:
            way, call = self._next(failures)
            held: list[Chunk] = []
            chunks = self.providers.get(way.route.provider).stream(call)
            try:
                for chunk in chunks:
                    self.usage = chunk.usage or self.usage
                    if self.answered is None:
                        held.append(chunk)
                        if not any(map(_says, chunk.choices)):
                            continue
                        self._spoke(way)
                        yield _joined(held)
                    else:
                        yield chunk
            except ProviderError as error:
                if self.answered is not None:
                    self._ended(error.kind, error)
                    raise Interrupted(way.route.provider, error) from error
                self.usage = None
                self._failed(failures, way, error)
                continue
            finally:
                _close(chunks)
            self._ended("completed", None)
            return

    def _next(self, failures: list[tuple[int, ProviderError]]) -> tuple[Way, Call]:
        step = next_step(tuple(way.route for way in self.ways), failures)
        if step is None:
            raise AllFailed([(self.ways[i].route.provider, error) for i, error in failures])
        if step.wait_s:
            gevent.sleep(step.wait_s)
        way, settings = self.ways[step.index], self.settings
        self.tried.append(way)
        self.made.append({
            "provider": way.route.provider,
            "model": way.route.model,
            "started_at": time.time(),
        })  # fmt: skip
        parameters = {**way.route.parameters, "attempt": self.attempt + len(failures)}
        call = Call(self.request, way.route.model, parameters)
        call.connect_timeout = settings.connect_timeout
        call.first_token_timeout = settings.first_token_timeout
        call.idle_timeout = settings.idle_timeout
        return way, call

    def _spoke(self, way: Way) -> None:
        self.answered, self.first_token_s = way, time.monotonic()
        self.made[-1]["ttft_ms"] = round((time.time() - self.made[-1]["started_at"]) * 1000, 1)

    def _failed(
        self, failures: list[tuple[int, ProviderError]], way: Way, error: ProviderError
    ) -> None:
        # By identity: a fallback that names the model itself is a way of its own.
        index = next(i for i, known in enumerate(self.ways) if known is way)
        failures.append((index, error))
        self._ended(error.kind, error)

    def _ended(self, outcome: str, error: ProviderError | None) -> None:
        call = self.made[-1]
        call["outcome"] = outcome
        call["status"] = error.status if error else 200
        call["error"] = error.message if error else None
        call["latency_ms"] = round((time.time() - call["started_at"]) * 1000, 1)
        call["usage"] = self.usage


def ways_of(
    catalogue: Catalogue, model: Model, fallbacks: list[str], asked: dict[str, Any]
) -> list[Way]:
    """All routes of a model, then those of its fallbacks, but for those that cannot honour a field
    of the request `asked`. Of these, if there is no other: the provider says what is wrong."""
    others = [catalogue.find(name) for name in fallbacks]
    models = [model, *(other for other in others if other is not None)]
    ways = [Way(one, route) for one in models for route in one.routes]
    if len(ways) == 1 or model.spec.does != "chat":
        return ways
    able = [way for way in ways if catalogue.unable(way.model, way.route, asked) is None]
    return able or ways


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
