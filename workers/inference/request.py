"""What goes to a provider: the client's request less what is ours, with the model's persona."""

from typing import Any

from app.catalogue.fields import OURS
from app.catalogue.model import Model

_DROPPED = OURS | {"stream", "stream_options", "model"}


def provider_request(asked: dict[str, Any], model: Model) -> dict[str, Any]:
    """The OpenAI-form body for a provider; `model` and streaming are the adapter's to set."""
    extra = asked.get("extra_body") or {}
    request = {
        name: value
        for name, value in {**extra, **asked}.items()
        if name not in _DROPPED and value is not None
    }
    if model.spec.persona and "messages" in request:
        persona = {"role": "system", "content": model.spec.persona}
        request["messages"] = [persona, *request["messages"]]
    return request
