"""Bodies and query parameters of `/v1/lunes` and the documents there."""

from typing import Annotated, Any, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic import model_validator as checks
from pydantic_core import PydanticCustomError

from app.lunes.model import State
from app.web.schemas.billing import LIMIT
from app.web.schemas.chat import MetaKey, MetaValue
from app.web.schemas.lune_search import FusionBody
from app.web.schemas.memory import ID
from app.web.schemas.usage import Once

URL_MAX = 2_048
RESERVED = frozenset({"search"})
"""Names that are paths of their own."""

_PLAIN = r"^[^\x00-\x1f\x7f]*$"


def _free(name: str) -> str:
    if name in RESERVED or name.startswith(("lune_", "lune-")):
        raise PydanticCustomError("name", "a lune cannot be called so")
    return name


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PydanticCustomError("metadata", "it is not JSON") from None


def _said(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "it says nothing")
    return text


Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$"), AfterValidator(_free)
]  # fmt: skip
Title = Annotated[str, Field(min_length=1, max_length=300, pattern=_PLAIN), AfterValidator(_said)]
Source = Annotated[str, Field(max_length=URL_MAX, pattern=r"^https?://[^\s\x00-\x1f\x7f]+$")]
ExternalId = Annotated[str, Field(min_length=1, max_length=256, pattern=_PLAIN)]
MediaType = Annotated[str, Field(max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")]
Metadata = Annotated[dict[MetaKey, MetaValue], Field(max_length=16)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NewLuneBody(_Strict):
    """A lune to be made. Chats call it by its `name`."""

    name: Name
    description: Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")] | None = None
    metadata: Metadata | None = None
    fusion: FusionBody | None = None


class LuneChangeBody(_Strict):
    """What is to be changed; what is not named stays. `fusion: null`: the house's weights again."""

    name: Name | None = None
    description: Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")] | None = None
    metadata: Metadata | None = None
    fusion: FusionBody | None = None

    @checks(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it names nothing to change")
        if "name" in self.model_fields_set and self.name is None:
            raise ValueError("name cannot be null")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that were named."""
        told = self.model_dump(exclude_unset=True)
        return {**told, "metadata": told["metadata"] or {}} if "metadata" in told else told


class DocumentBody(_Strict):
    """A document: `text`, or the `url` that it is fetched from. With `text`, `url` is the source
    that answers cite, and `media_type` says what the text is."""

    text: Annotated[str, Field(min_length=1), AfterValidator(_said)] | None = None
    url: Source | None = None
    title: Title | None = None
    media_type: MediaType | None = None
    external_id: ExternalId | None = None
    metadata: Metadata | None = None


class UploadForm(BaseModel):
    """The fields beside the file; `metadata` is JSON. Without `media_type` the file's own type
    counts, and where that says nothing the end of its name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: Source | None = None
    title: Title | None = None
    media_type: MediaType | None = None
    external_id: ExternalId | None = None
    metadata: Annotated[Metadata, BeforeValidator(_parsed)] | None = None


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DocumentsQuery(_Query):
    """Which documents; `limit` and `after` are read by `app.web.paging`."""

    status: Annotated[State, Once] | None = None
    limit: Annotated[Any, WithJsonSchema(LIMIT)] = None
    after: Annotated[Any, WithJsonSchema(ID)] = None
