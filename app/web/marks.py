"""Whether what only Anthropic's API takes back, signed thoughts and marks of what to cache, may go
along with a request."""

from typing import Protocol

from app.web.candidates import Catalogued

TAKES_MARKS = "anthropic"
"""The kind of provider that takes them; others refuse a request that has them."""


class Choice(Protocol):
    """The fields of a request that say who may answer."""

    model: str | None
    provider: str | None
    fallbacks: list[str] | None


def takes_marks(front: Catalogued, wanted: Choice) -> bool:
    """Whether all who may answer take marks."""
    catalogue = front.catalogue
    models = [catalogue.find(wanted.model, wanted.provider)]
    models += [catalogue.find(name) for name in wanted.fallbacks or ()]
    kinds = {
        catalogue.providers[route.provider].kind
        for model in models
        if model is not None
        for route in model.routes
    }
    return kinds == {TAKES_MARKS}
