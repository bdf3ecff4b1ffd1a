"""Transcriptions of providers that do not tell how much they heard."""

from typing import cast

from workers.providers.base import Answer, Call, Provider, operator
from workers.providers.registry import Providers


class Heard(Providers):
    """The providers of a transcription. `seconds`: what a recording counts where none is told."""

    def __init__(self, providers: Providers, seconds: float) -> None:
        self._providers, self._seconds = providers, seconds

    def get(self, name: str) -> Provider:
        # It is asked for transcriptions alone.
        return cast(Provider, _Listener(self._providers.get(name), self._seconds))


class _Listener:
    def __init__(self, provider: Provider, seconds: float) -> None:
        self._provider, self._seconds = provider, seconds

    def transcribe(self, call: Call) -> Answer:
        """The provider's answer, with a usage in any case."""
        answer = operator(self._provider, "transcription")(call)
        if answer.usage is None:
            answer.usage = {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "total_tokens": 0,
                "seconds": round(self._seconds, 3),
                "estimated": True,
            }
        return answer
