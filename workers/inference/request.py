"""What goes to a provider: the client's request less what is ours, with the model's persona."""

from typing import Any

from app.catalogue.fields import OURS
from app.catalogue.model import Model
from workers.inference.several import PROMPTS

_DROPPED = OURS | {"stream", "stream_options", "model"}


def provider_request(asked: dict[str, Any], model: Model) -> dict[str, Any]:
    """The OpenAI-form body for a provider; `model` and streaming are the adapter's to set."""
    extra = asked.get("extra_body") or {}
    request = {
        name: value
        for name, value in {**extra, **asked}.items()
        if value is not None
        # What is behind an image's motif goes by the name of our flag.
        and (name not in _DROPPED or (name == "background" and type(value) is str))
    }
    if model.spec.persona and "messages" in request:
        persona = {"role": "system", "content": model.spec.persona}
        request["messages"] = [persona, *request["messages"]]
    told = asked.get("asked")
    if isinstance(told, dict) and PROMPTS in told:
        request[PROMPTS] = told[PROMPTS]
    return request
