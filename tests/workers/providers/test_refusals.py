"""What is made of the errors that providers tell of."""

import email.utils
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.refusals import MESSAGE_MAX, RETRY_AFTER_MAX_S, retry_after
from workers.providers.wire import refusal


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid", False),
        (422, "invalid", False),
        (404, "unavailable", False),
        (401, "auth", False),
        (402, "auth", False),
        (403, "auth", False),
        (408, "unavailable", True),
        (409, "unavailable", True),
        (429, "rate_limited", True),
        (500, "unavailable", True),
        (503, "unavailable", True),
        (529, "unavailable", True),
    ],
)
def test_a_status_says_what_kind_of_failure_it_is(status: int, kind: str, retryable: bool) -> None:
    error = refusal(httpx.Response(status, json={"error": {"message": "because"}}))
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.message == "because"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad Gateway</html>", "status 502"),
        (b"", "status 502"),
        (b"[1]", "status 502"),
        (b'{"error":"plain text"}', "plain text"),
        (b'{"error":{"message":null}}', "status 502"),
        (b'{"error":true}', "status 502"),
        (b'{"detail":"x"}', "x"),
        (b'[{"error":{"message":"of Google"}}]', "of Google"),
        (b'{"object":"error","message":"of vLLM"}', "of vLLM"),
        (b'{"object":"error","message":{"detail":[{"msg":"of Mistral"}]}}', "of Mistral"),
    ],
)
def test_an_error_body_of_any_form_is_read_as_far_as_it_goes(body: bytes, message: str) -> None:
    assert refusal(httpx.Response(502, content=body)).message == message


def test_a_long_error_message_is_cut() -> None:
    error = refusal(httpx.Response(500, json={"error": {"message": "x" * 10_000}}))
    assert len(error.message) == MESSAGE_MAX


EXTRA = [{"type": "extra_forbidden", "loc": ["body", "tools", 0], "msg": "Extra inputs"}]


@pytest.mark.parametrize(
    ("told", "param", "message"),
    [
        ({"error": {"message": "too hot", "param": "temperature"}}, "temperature", "too hot"),
        ({"error": {"message": "too hot", "param": None}}, None, "too hot"),
        ({"detail": EXTRA}, "tools.0", "Extra inputs"),
        ({"object": "error", "message": {"detail": EXTRA}}, "tools.0", "Extra inputs"),
        ({"detail": [{"loc": ["body"], "msg": "odd"}]}, None, "odd"),
        ({"detail": "odd"}, None, "odd"),
        ([], None, "status 422"),
    ],
)
def test_the_field_that_is_refused_is_named(told: object, param: str | None, message: str) -> None:
    error = refusal(httpx.Response(422, json=told))
    assert (error.kind, error.param, error.message) == ("invalid", param, message)
    assert refusal(httpx.Response(500, json=told)).param is None


def test_a_redirect_is_told_and_never_followed() -> None:
    headers = {"Location": "https://elsewhere.test/v1"}
    error = refusal(httpx.Response(307, headers=headers, content=b"<html>"))
    assert (error.kind, error.retryable, error.status) == ("unavailable", False, 307)
    assert "elsewhere.test" in error.message


def test_an_account_that_has_run_dry_is_not_tried_again() -> None:
    told = {"error": {"message": "no credit", "code": "insufficient_quota"}}
    error = refusal(httpx.Response(429, json=told))
    assert (error.kind, error.retryable) == ("auth", False)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None), ("nan", None),
     ("inf", None), ("1e999", None), ("1700000000", RETRY_AFTER_MAX_S),
     ("Thu, 01 Jan 9999 00:00:00 GMT", RETRY_AFTER_MAX_S), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
     ("Mon, 99 Foo 9999 99:99:99 GMT", None)],
)  # fmt: skip
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    error = refusal(httpx.Response(429, headers={"Retry-After": header}, content=b"{}"))
    assert error.retry_after == seconds


def test_retry_after_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    error = refusal(httpx.Response(503, headers={"Retry-After": date}))
    assert error.retry_after is not None
    assert 25 < error.retry_after <= 30


def test_retry_after_in_milliseconds_is_the_finer_of_two() -> None:
    headers = {"Retry-After": "1", "Retry-After-Ms": "250"}
    assert refusal(httpx.Response(429, headers=headers)).retry_after == 0.25


def test_without_retry_after_none_is_told() -> None:
    assert refusal(httpx.Response(429)).retry_after is None


@given(st.text())
def test_no_retry_after_breaks_the_adapter(text: str) -> None:
    wait = retry_after(text)
    assert wait is None or 0 <= wait < float("inf")
