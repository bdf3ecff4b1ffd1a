"""Several prompts in one job: each provider call is made once for each of them.

Retries, fallbacks and the bill see one call with one answer and one usage. The choices of a prompt
are numbered after those of the prompts before it.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from gevent.pool import Pool

from workers.providers.base import Call, Chunk, Completion, Provider, ProviderError
from workers.providers.registry import Providers

PROMPTS = "prompts"
"""The field of a request that holds them; it reaches no provider."""

AT_ONCE = 4
_DETAILS = {
    "prompt_tokens_details": ("cached_tokens",),
    "completion_tokens_details": ("reasoning_tokens",),
}


class Several(Providers):
    """The providers of a request with several prompts."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def get(self, name: str) -> Provider:
        return _EachPrompt(self._providers.get(name))


class _EachPrompt:
    """A provider that is asked for each prompt: at once for a whole answer, in turn for a stream,
    whose text then comes in order."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def complete(self, call: Call) -> Completion:
        pool = Pool(AT_ONCE)
        try:
            answers = list(pool.imap(self._answer, _calls(call)))
        finally:
            pool.kill()
        whole: list[Completion] = []
        for answer in answers:
            if isinstance(answer, ProviderError):
                raise answer
            whole.append(answer)
        choices = [
            choice
            for at, answer in enumerate(whole)
            for choice in _numbered(answer.choices, at, call)
        ]
        return Completion(choices, together([answer.usage for answer in whole]))

    def _answer(self, call: Call) -> Completion | ProviderError:
        # As a value: an error that ends a greenlet is printed.
        try:
            return self._provider.complete(call)
        except ProviderError as error:
            return error

    def stream(self, call: Call) -> Iterator[Chunk]:
        usages: list[dict[str, Any] | None] = []
        for at, one in enumerate(_calls(call)):
            usage = None
            # A generator in every adapter, though the protocol promises an iterator alone.
            with closing(cast(Any, self._provider.stream(one))) as chunks:
                for chunk in chunks:
                    usage = chunk.usage or usage
                    if chunk.choices:
                        yield Chunk(_numbered(chunk.choices, at, call))
            usages.append(usage)
        if told := together(usages):
            yield Chunk([], told)


def _calls(call: Call) -> list[Call]:
    """A call for each prompt, which stands in the place of the last message."""
    rest = {name: value for name, value in call.request.items() if name != PROMPTS}
    before = rest["messages"][:-1]
    return [
        replace(call, request={**rest, "messages": [*before, {"role": "user", "content": prompt}]})
        for prompt in call.request[PROMPTS]
    ]


def _numbered(choices: list[dict[str, Any]], at: int, call: Call) -> list[dict[str, Any]]:
    first = at * (call.request.get("n") or 1)
    return [{**choice, "index": first + (choice.get("index") or 0)} for choice in choices]


def together(usages: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The sum of usages; None if one was not told."""
    told = [usage for usage in usages if usage is not None]
    if len(told) < len(usages):
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    summed: dict[str, Any] = {name: sum(usage.get(name) or 0 for usage in told) for name in names}
    for details, parts in _DETAILS.items():
        known = [usage[details] for usage in told if isinstance(usage.get(details), dict)]
        if known:
            summed[details] = {part: sum(one.get(part) or 0 for one in known) for part in parts}
    return summed
