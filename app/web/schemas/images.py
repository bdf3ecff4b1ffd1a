"""The body of an image generation, checked before anything is admitted."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.web.schemas.running import OperationRequest

IMAGES_MAX = 10
PROMPT_MAX = 32_000
BACKGROUNDS = ("transparent", "opaque", "auto")


def _background(value: Any) -> Any:
    if value is None or isinstance(value, bool) or value in BACKGROUNDS:
        return value
    raise PydanticCustomError(
        "background", "write true or false for a background job, or an image's background: "
        "transparent, opaque or auto",
    )  # fmt: skip


class ImageRequest(OperationRequest):
    """An image generation request. `background` is OpenAI's field of what is behind the motif, and
    as a boolean the one that makes the request a job in the background."""

    prompt: str = Field(min_length=1, max_length=PROMPT_MAX)
    n: Annotated[int, Field(ge=1, le=IMAGES_MAX)] | None = None
    size: str | None = Field(None, pattern=r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$")
    quality: Literal["auto", "standard", "hd", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    style: Literal["vivid", "natural"] | None = None
    background: Annotated[bool | str | None, BeforeValidator(_background)] = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    moderation: Literal["auto", "low"] | None = None
    seed: int | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
