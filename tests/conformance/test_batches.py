"""openai-python's files and batches calls, from upload to parsed output, against a whole stack."""

import json
from typing import Any, Final, get_args

import openai
import psutil
import pytest
from openai import OpenAI
from openai.types import Batch
from openai.types.chat import ChatCompletion

from tests.conformance.conftest import tenant
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

CHAT: Final = "/v1/chat/completions"
LANES = ("interactive", "background", "batch")
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture(scope="module")
def batch_key(stack: Stack) -> str:
    """A key of a tenant whose batches nobody else lists."""
    return tenant(stack, "batches")


@pytest.fixture
def client(stack: Stack, batch_key: str) -> OpenAI:
    return OpenAI(base_url=stack.base_url, api_key=batch_key, max_retries=0, timeout=60)


def line(custom_id: str, **body: Any) -> bytes:
    asked = {"model": "builtin/sim", "messages": [{"role": "user", "content": custom_id}], **body}
    told = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": asked}
    return json.dumps(told).encode() + b"\n"


def ended(client: OpenAI, *lines: bytes) -> Batch:
    file = client.files.create(file=("in.jsonl", b"".join(lines)), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"a": "b"}
    )
    assert (made.status, made.input_file_id) == ("validating", file.id)

    def look() -> Batch | None:
        found = client.batches.retrieve(made.id)
        return found if found.status in ENDED else None

    found = wait_for(look, 60, "the batch's end")
    assert found is not None
    assert found.status in get_args(Batch.model_fields["status"].annotation)
    return found


def parsed(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    return [json.loads(told) for told in client.files.content(file_id).text.splitlines()]


def test_good_and_failing_lines_from_upload_to_parsed_output(client: OpenAI) -> None:
    batch = ended(client, line("a"), line("b", metadata={"sim_status": "400"}), line("c", n=2))
    assert batch.status == "completed"
    assert batch.metadata == {"a": "b"}
    counts = batch.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    output = parsed(client, batch.output_file_id)
    assert [told["custom_id"] for told in output] == ["a", "c"]
    answers = [ChatCompletion.model_validate(told["response"]["body"]) for told in output]
    assert [len(answer.choices) for answer in answers] == [1, 2]
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(one.usage.total_tokens for one in answers if one.usage)
    [error] = parsed(client, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("b", 400)
    assert client.files.retrieve(batch.output_file_id or "").purpose == "batch_output"
    assert batch.id in [one.id for one in client.batches.list(limit=1)]


def test_a_batch_with_bad_lines_fails_with_their_numbers(client: OpenAI) -> None:
    batch = ended(client, line("a"), b"no json\n", line("a"), line("b", stream=True))
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert batch.errors is not None
    told = [(one.code, one.line, one.param) for one in batch.errors.data or []]
    assert told == [
        ("invalid_json_line", 2, None),
        ("duplicate_custom_id", 3, "custom_id"),
        ("unsupported_parameter", 4, "body.stream"),
    ]


def test_what_the_sdk_is_refused_at_once(client: OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", line("a")), purpose="user_data")
    for asked in (
        {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"},
        {"input_file_id": "file-none", "endpoint": CHAT, "completion_window": "24h"},
        {"input_file_id": file.id, "endpoint": "/v1/videos", "completion_window": "24h"},
        {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "48h"},
    ):
        with pytest.raises(openai.BadRequestError):
            client.batches.create(**asked)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_a_batch_is_cancelled_and_keeps_what_is_finished(client: OpenAI) -> None:
    slow = {"metadata": {"sim_ttft_ms": "3000"}}
    file = client.files.create(
        file=("in.jsonl", b"".join(line(str(n), **slow) for n in range(200))), purpose="batch"
    )
    made = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    wait_for(lambda: client.batches.retrieve(made.id).status == "in_progress", 60, "progress")
    assert client.batches.cancel(made.id).status == "cancelling"
    wait_for(lambda: client.batches.retrieve(made.id).status == "cancelled", 60, "the end")
    batch = client.batches.retrieve(made.id)
    assert batch.request_counts is not None
    assert batch.request_counts.completed < 200
    left = [told for told in parsed(client, batch.error_file_id) if told["response"] is None]
    assert {told["error"]["code"] for told in left} == {"batch_cancelled"}
    kept = parsed(client, batch.output_file_id) if batch.output_file_id else []
    assert len(kept) == batch.request_counts.completed == 200 - len(left)


def test_batch_workers_yield_the_processor_to_whoever_waits(stack: Stack) -> None:
    nice = {lane: psutil.Process(stack.pid(f"worker_{lane}")).nice() for lane in LANES}
    assert nice["batch"] == nice["interactive"] + 10
    assert nice["background"] == nice["interactive"]
