"""openai-python's files calls against a whole stack."""

from io import BytesIO
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.conformance.conftest import tenant
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

LINES = b'{"custom_id": "1"}\n' * 40_000
"""More than one piece of anything."""


@pytest.fixture(scope="module")
def files_key(stack: Stack) -> str:
    """A key of a tenant whose files nobody else counts."""
    return tenant(stack, "files")


@pytest.fixture
def client(stack: Stack, files_key: str) -> OpenAI:
    return OpenAI(base_url=stack.base_url, api_key=files_key, max_retries=0, timeout=60)


def test_a_file_comes_in_every_form_that_the_sdk_takes(client: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(LINES)
    with path.open("rb") as opened:
        forms = (path, opened, LINES, ("lines.jsonl", LINES), BytesIO(LINES))
        made = [client.files.create(file=file, purpose="batch") for file in forms]
    for file in made:
        assert (file.object, file.bytes, file.purpose) == ("file", len(LINES), "batch")
        assert (file.status, file.status_details) == ("processed", None)
        assert client.files.retrieve(file.id) == file
        assert client.files.content(file.id).read() == LINES
    assert [file.filename for file in made] == [
        "lines.jsonl", "lines.jsonl", "upload", "lines.jsonl", "upload",
    ]  # fmt: skip
    assert client.files.wait_for_processing(made[0].id).id == made[0].id


def test_content_is_read_in_every_way_that_the_sdk_knows(client: OpenAI, tmp_path: Path) -> None:
    file = client.files.create(file=("a.txt", LINES), purpose="user_data")
    assert file.expires_at is None
    assert client.files.content(file.id).text == LINES.decode()
    assert b"".join(client.files.content(file.id).iter_bytes(4096)) == LINES
    with client.files.with_streaming_response.content(file.id) as answer:
        answer.stream_to_file(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == LINES
    part = client.files.content(file.id, extra_headers={"Range": "bytes=2-10"})
    assert part.read() == LINES[2:11]


def test_lists_are_paged_by_the_sdk(client: OpenAI) -> None:
    ids = [client.files.create(file=(f"{n}", b"x"), purpose="vision").id for n in range(5)]
    found = client.files.list(purpose="vision", limit=2, order="asc")
    assert (len(found.data), found.has_more) == (2, True)
    assert [file.id for file in found] == ids
    newest = [file.id for file in client.files.list(purpose="vision")]
    assert newest == ids[::-1]
    after = client.files.list(purpose="vision", after=ids[3], limit=1)
    assert [file.id for file in after.data] == [ids[2]]


def test_a_deleted_file_is_not_found(client: OpenAI) -> None:
    file = client.files.create(file=("a", b"x"), purpose="batch")
    gone = client.files.delete(file.id)
    assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(file.id)


def test_a_file_expires_when_it_is_told_to(client: OpenAI) -> None:
    wanted: openai.types.file_create_params.ExpiresAfter = {
        "anchor": "created_at",
        "seconds": 3600,
    }
    file = client.files.create(file=("a", b"x"), purpose="batch", expires_after=wanted)
    assert file.expires_at is not None
    assert abs(file.expires_at - file.created_at - 3600) <= 1
    default = client.files.create(file=("a", b"x"), purpose="batch").expires_at
    assert default is not None
    assert default > file.expires_at


def test_what_is_wrong_is_refused_in_openais_shape(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.files.create(file=("a", b"x"), purpose="nothing")  # type: ignore[arg-type]
    assert (raised.value.param, raised.value.type) == ("purpose", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as raised:
        client.files.create(
            file=("a", b"x"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 1},
        )
    assert raised.value.param == "expires_after[seconds]"
