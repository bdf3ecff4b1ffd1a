"""How much a request is, as the limits of tokens count it."""

import orjson
import pytest

from app.catalogue.tokens import BYTES_PER_TOKEN, MEDIA_TOKENS
from app.web.asked import IMAGE_TOKENS_MAX, Asked, prompt_size, prompt_tokens


def asked(content: object, **fields: object) -> Asked:
    request = orjson.dumps({"messages": [{"role": "user", "content": content}], **fields})
    return Asked("chat.completion", "/chat/completions", request, request.decode())


@pytest.mark.parametrize(
    "heavy",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "A" * 400_000}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 400_000}},
    ],
)
def test_what_stands_in_base64_counts_apiece(heavy: dict[str, object]) -> None:
    words = {"type": "text", "text": "What is this?"}
    alone = prompt_tokens(asked([words]))
    assert prompt_tokens(asked([words, heavy, heavy])) == alone + 2 * MEDIA_TOKENS


def test_a_long_text_counts_by_its_bytes() -> None:
    long = asked("x" * 400_000)
    assert prompt_tokens(long) == -(-len(long.body) // BYTES_PER_TOKEN)


@pytest.mark.parametrize(
    ("size", "counted"), [(30, MEDIA_TOKENS), (20_000, 20_000), (400_000, IMAGE_TOKENS_MAX)]
)
def test_the_hold_of_an_image_has_two_bounds(size: int, counted: int) -> None:
    def image(url: str) -> Asked:
        return asked([{"type": "image_url", "image_url": {"url": url}}] * 2)

    empty = 2 * MEDIA_TOKENS
    assert prompt_size(image("x" * size)) - prompt_size(image("")) == 2 * counted - empty
    elsewhere = prompt_size(image("https://a.example/b.png")) - prompt_size(image(""))
    assert elsewhere == 2 * IMAGE_TOKENS_MAX - empty


@pytest.mark.parametrize("image", [None, "https://a.example/b.png", {}, {"url": None}, {"url": 3}])
def test_an_image_of_another_form_is_left_to_who_reads_it(image: object) -> None:
    odd = asked([{"type": "image_url", "image_url": image}])
    assert prompt_size(odd) == len(odd.body) + MEDIA_TOKENS


def test_a_recording_to_be_written_down_has_no_tokens() -> None:
    body = b"x" * 10_000
    told = Asked("transcription", "/audio/transcriptions", body, "{}", "transcription")
    assert prompt_tokens(told) == 0
