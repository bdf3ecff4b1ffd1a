"""An address is no image to who wants base64."""

from typing import Any, cast

import pytest

from workers.inference.pictured import Pictured
from workers.providers.base import Answer, Call, Provider, ProviderError, operator
from workers.providers.registry import Providers


class Brush(Providers):
    """A registry whose one provider gives these images."""

    def __init__(self, *images: dict[str, Any]) -> None:
        self._images = images

    def get(self, name: str) -> Provider:
        return cast(Provider, self)

    def draw(self, call: Call) -> Answer:
        return Answer({"data": [*self._images]}, None)


def drawn(*images: dict[str, Any]) -> Answer:
    return operator(Pictured(Brush(*images)).get("any"), "image")(Call({}, "m"))


def test_images_in_base64_are_passed_on() -> None:
    images = [{"b64_json": "AAAA"}, {"b64_json": "BBBB", "url": "https://x.test/1"}]
    assert drawn(*images).body["data"] == images


def test_an_address_in_their_place_is_a_failure_that_another_provider_may_mend() -> None:
    with pytest.raises(ProviderError) as raised:
        drawn({"b64_json": "AAAA"}, {"url": "https://x.test/1"})
    assert (raised.value.kind, raised.value.retryable) == ("protocol", True)
