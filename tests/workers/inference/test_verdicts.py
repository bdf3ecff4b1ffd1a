"""The errors that jobs end with: what the client is told, and what it can do."""

import pytest

from tests.workers.inference.scripted import error
from workers.inference.calls import Interrupted
from workers.inference.verdicts import all_failed, deadline, interrupted, no_model
from workers.providers.base import ProviderError


def test_each_provider_and_its_reason_is_told() -> None:
    told = all_failed("m", [("p", error("timeout")), ("q", error("auth"))])
    assert (told["type"], told["code"]) == ("provider_error", "all_providers_failed")
    assert told["attempts"] == [
        {"provider": "p", "reason": "timeout: it is timeout"},
        {"provider": "q", "reason": "auth: it is auth"},
    ]
    assert "'m'" in told["message"]


def test_a_refused_request_is_the_clients_to_mend() -> None:
    told = all_failed("m", [("p", error("timeout")), ("q", error("invalid"))])
    assert (told["type"], told["code"]) == ("invalid_request_error", "provider_refused")
    assert "it is invalid" in told["message"]


@pytest.mark.parametrize(
    ("waits", "told_wait"), [((30.0, 7.0), 7.0), ((None, 20.0), 1.0), ((None, None), 1.0)]
)
def test_when_all_ask_to_wait_so_is_the_client_asked(
    waits: tuple[float | None, ...], told_wait: float
) -> None:
    told = all_failed("m", [("p", error("rate_limited", wait)) for wait in waits])
    assert (told["type"], told["retry_after"]) == ("rate_limit_exceeded", told_wait)


def test_one_other_failure_is_no_limit() -> None:
    told = all_failed("m", [("p", error("rate_limited", 7)), ("q", error("timeout"))])
    assert told["type"] == "provider_error"
    assert "retry_after" not in told


def test_every_stored_error_has_its_four_fields() -> None:
    for told in (
        all_failed("m", [("p", error())]),
        interrupted(Interrupted("p", error("incomplete"))),
        deadline(600),
        no_model("m"),
    ):
        assert {"message", "type", "param", "code"} <= told.keys()


def test_an_interruption_names_the_provider() -> None:
    told = interrupted(Interrupted("groq", error("incomplete")))
    assert told["code"] == "stream_interrupted"
    assert "groq: it is incomplete" in told["message"]


def test_a_deadline_is_told_in_seconds() -> None:
    told = deadline(600.0)
    assert told["code"] == "deadline_exceeded"
    assert "600 seconds" in told["message"]


@pytest.mark.parametrize(("added", "path"), [(0, "messages.3.content"), (1, "messages.2.content")])
def test_paths_count_the_clients_own_messages_alone(added: int, path: str) -> None:
    refused = ProviderError("invalid", "messages.3.content: no", param="messages.3.content")
    told = all_failed("m", [("p", refused)], added)
    assert (told["param"], told["message"].endswith(f"{path}: no")) == (path, True)
