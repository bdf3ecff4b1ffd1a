"""The provider of images that needs no key."""

import base64
import time
from typing import Any

import gevent
import pytest

from tests.workers.providers.builtin.pngs import read
from workers.providers.base import Call, ProviderError, operator
from workers.providers.builtin.image import Painter


def draw(**request: Any) -> Any:
    asked = {"prompt": "a moon", "size": "256x256", **request}
    return operator(Painter(), "image")(Call(asked, "image"))


def files(**request: Any) -> list[bytes]:
    return [base64.b64decode(one["b64_json"]) for one in draw(**request).body["data"]]


def test_images_come_in_the_size_and_number_asked_for_and_are_counted() -> None:
    answer = draw(n=2, size="320x256", response_format="b64_json", output_format="png")
    pictures = [read(base64.b64decode(one["b64_json"])) for one in answer.body["data"]]
    assert [(p.width, p.height) for p in pictures] == [(320, 256)] * 2
    assert pictures[0].pixels != pictures[1].pixels
    assert answer.usage == {
        "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "images": 2,
    }  # fmt: skip
    assert (answer.body["size"], answer.body["output_format"]) == ("320x256", "png")
    assert abs(answer.body["created"] - time.time()) < 5


def test_a_prompt_gives_the_same_images_each_time() -> None:
    assert files(n=2, seed=7) == files(n=2, seed=7)
    assert files(seed=7) != files(seed=8)
    assert files(n=2)[:1] == files()


@pytest.mark.parametrize("size", [None, "auto"])
def test_the_usual_size_is_a_thousand_and_twenty_four(size: str | None) -> None:
    picture = read(files(size=size)[0])
    assert (picture.width, picture.height) == (1024, 1024)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "255x256"),
        ("size", "256x1793"),
        ("size", "0256x256"),
        ("size", "big"),
        ("output_format", "webp"),
        ("output_compression", 50),
        ("response_format", "url"),
        ("background", "transparent"),
        ("n", 11),
        ("n", True),
        ("seed", "x"),
        ("prompt", " "),
        ("prompt", None),
    ],
)
def test_what_it_cannot_do_it_refuses_by_name(field: str, value: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        draw(**{field: value})
    assert (caught.value.kind, caught.value.status) == ("invalid", 400)
    assert (caught.value.param, caught.value.retryable) == (field, False)


def test_others_go_on_while_it_draws() -> None:
    ticks: list[float] = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.001)

    ticking = gevent.spawn(tick)
    draw(size="1024x1024")
    ticking.kill()
    assert len(ticks) > 2
