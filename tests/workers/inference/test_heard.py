"""A transcription has a usage in any case."""

from typing import Any, cast

import pytest

from workers.inference.heard import Heard
from workers.providers.base import Answer, Call, Provider, ProviderError, operator
from workers.providers.registry import Providers


class Ears(Providers):
    """A registry whose one provider answers with this usage."""

    def __init__(self, usage: dict[str, Any] | None) -> None:
        self._usage = usage

    def get(self, name: str) -> Provider:
        return cast(Provider, self)

    def transcribe(self, call: Call) -> Answer:
        return Answer({"text": "hello"}, self._usage)


def heard(usage: dict[str, Any] | None) -> Answer:
    provider = Heard(Ears(usage), 2.34567).get("any")
    return operator(provider, "transcription")(Call({}, "m"))


def test_what_the_provider_tells_stands() -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "seconds": 1.5}
    assert heard(usage).usage == usage


def test_what_it_does_not_tell_is_estimated() -> None:
    answer = heard(None)
    assert answer.body == {"text": "hello"}
    assert answer.usage == {
        "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "seconds": 2.346,
        "estimated": True,
    }  # fmt: skip


def test_a_provider_that_hears_nothing_is_refused() -> None:
    class Deaf(Ears):
        transcribe = None  # type: ignore[assignment]

    with pytest.raises(ProviderError, match="no transcription"):
        operator(Heard(Deaf(None), 1).get("any"), "transcription")(Call({}, "m"))
