"""What goes to a provider: the client's fields less ours, with the persona before the messages."""

from typing import Any

from app.catalogue.fields import OURS
from tests.workers.inference.scripted import model
from workers.inference.request import provider_request

MESSAGES = [{"role": "user", "content": "hi"}]


def request(persona: str = "", **fields: Any) -> dict[str, Any]:
    return provider_request({"messages": MESSAGES, **fields}, model("m", "p", persona=persona))


def test_passes_on_what_is_the_providers() -> None:
    assert request(temperature=0, seed=1, tools=[], stop="x") == {
        "messages": MESSAGES, "temperature": 0, "seed": 1, "tools": [], "stop": "x",
    }  # fmt: skip


def test_keeps_what_is_ours_to_itself() -> None:
    ours: dict[str, Any] = dict.fromkeys(OURS - {"extra_body"}, True)
    assert request(model="x", stream=True, stream_options={}, **ours) == {"messages": MESSAGES}


def test_null_is_not_passed_on() -> None:
    assert request(temperature=None, top_p=1.0) == {"messages": MESSAGES, "top_p": 1.0}


def test_extra_body_is_laid_under_the_fields() -> None:
    extra = {"top_k": 5, "seed": 1, "background": True}
    assert request(extra_body=extra, seed=2) == {"messages": MESSAGES, "top_k": 5, "seed": 2}


def test_the_persona_speaks_first_and_the_clients_messages_stay_as_they_are() -> None:
    made = request(persona="Be kind.")
    assert made["messages"] == [{"role": "system", "content": "Be kind."}, *MESSAGES]
    assert MESSAGES == [{"role": "user", "content": "hi"}]
