"""Images with no key: compositions of moons over a pool, in PNG."""

import base64
import re
import time
from typing import Any

import gevent

from workers.providers.base import Answer, Call
from workers.providers.builtin.painting import Wish, paint
from workers.providers.builtin.request import invalid

SIDE_MIN, SIDE_MAX = 256, 1792
IMAGES_MAX = 10
SIZE = "1024x1024"
_SIZE = re.compile(r"([1-9][0-9]{2,3})x([1-9][0-9]{2,3})\Z")
_SOLE = {"output_format": "png", "response_format": "b64_json"}
_LACKS = ("output_compression", "mask", "image")
_ROUGH = frozenset({"low"})


class Painter:
    """Draws what `paint` makes of a prompt. It takes every size of 256 to 1792 pixels a side.

    `quality: low` draws hard edges, `style: natural` muted colours. What it cannot do (another
    format, a transparent background) it refuses by name.
    """

    def draw(self, call: Call) -> Answer:
        """The images as base64; raises ProviderError."""
        request = call.request
        _refuse(request)
        wishes = _wishes(request)
        # In threads: a picture takes tens of milliseconds, in which others shall go on.
        pool = gevent.get_hub().threadpool
        pictures = [pool.apply(paint, (wish,)) for wish in wishes]
        return Answer(
            {
                "created": int(time.time()),
                "background": "opaque",
                "output_format": "png",
                "size": f"{wishes[0].width}x{wishes[0].height}",
                "data": [{"b64_json": base64.b64encode(one).decode()} for one in pictures],
            },
            {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "total_tokens": 0,
                "images": len(pictures),
            },
        )


def _refuse(request: dict[str, Any]) -> None:
    for field, only in _SOLE.items():
        if request.get(field) not in (None, only):
            raise invalid(field, f"this model makes {only} only")
    for field in _LACKS:
        if request.get(field) is not None:
            raise invalid(field, "this model cannot do that")
    if request.get("background") not in (None, "auto", "opaque"):
        raise invalid("background", "this model paints opaque pictures only")


def _wishes(request: dict[str, Any]) -> list[Wish]:
    prompt, count, seed = request.get("prompt"), request.get("n") or 1, request.get("seed")
    if type(prompt) is not str or not prompt.strip():
        raise invalid("prompt", "a text is needed")
    if type(count) is not int or not 1 <= count <= IMAGES_MAX:
        raise invalid("n", f"1 to {IMAGES_MAX} images can be made at once")
    if seed is not None and type(seed) is not int:
        raise invalid("seed", "must be a whole number")
    width, height = _size(request.get("size"))
    vivid = request.get("style") != "natural"
    smooth = request.get("quality") not in _ROUGH
    return [Wish(prompt, seed, number, width, height, vivid, smooth) for number in range(count)]


def _size(asked: Any) -> tuple[int, int]:
    found = _SIZE.match(SIZE if asked in (None, "auto") else str(asked))
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (SIDE_MIN <= width <= SIDE_MAX and SIDE_MIN <= height <= SIDE_MAX):
        raise invalid(
            "size", f"write WIDTHxHEIGHT, each of {SIDE_MIN} to {SIDE_MAX} pixels, or auto"
        )
    return width, height
