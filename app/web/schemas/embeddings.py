"""The body of `POST /v1/embeddings`, checked before anything is admitted."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from app.web.schemas.running import OperationRequest

INPUTS_MAX = 2048
"""OpenAI's bound of every list in `input`."""

Text = Annotated[str, Field(min_length=1)]
TokenId = Annotated[int, Field(ge=0)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=INPUTS_MAX)]


def _form(value: Any) -> str | None:
    """Which of the four forms an input means to have; its first item decides about a list."""
    if not isinstance(value, list):
        return "constr" if isinstance(value, str) else None
    first = value[0] if value else ""
    if isinstance(first, list):
        return "list[list]"
    return "list[int]" if isinstance(first, int) else "list[str]"


# The tags are such as `app.web.problems.invalid` leaves out of a field's path.
Input = Annotated[
    Annotated[Text, Tag("constr")]
    | Annotated[list[Text], Field(min_length=1, max_length=INPUTS_MAX), Tag("list[str]")]
    | Annotated[TokenIds, Tag("list[int]")]
    | Annotated[list[TokenIds], Field(max_length=INPUTS_MAX), Tag("list[list]")],
    Discriminator(
        _form,
        custom_error_type="input_form",
        custom_error_message="Input should be a text or token ids, or a list of either",
    ),
]


class EmbeddingsRequest(OperationRequest):
    """An embeddings request. `truncate`, which OpenAI has not: a text that is too long for the
    model is cut instead of refused."""

    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    truncate: bool | None = None
    background: bool | None = None
