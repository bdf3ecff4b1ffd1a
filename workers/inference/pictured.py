"""Images for a client that wants them in base64 and nothing else."""

from typing import cast

from workers.providers.base import Answer, Call, Provider, ProviderError, operator
from workers.providers.registry import Providers


class Pictured(Providers):
    """The providers of such images: one that gives addresses of its own, whatever it is asked
    for, has failed."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def get(self, name: str) -> Provider:
        # It is asked for images alone.
        return cast(Provider, _Painter(self._providers.get(name)))


class _Painter:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def draw(self, call: Call) -> Answer:
        """The provider's images. Raises ProviderError."""
        answer = operator(self._provider, "image")(call)
        if not all(image.get("b64_json") for image in answer.body["data"]):
            raise ProviderError(
                "protocol", "the provider gives addresses where base64 was asked for"
            )
        return answer
