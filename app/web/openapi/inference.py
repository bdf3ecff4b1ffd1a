"""The doors of inference in OpenAI's first form, and what their models run on."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from app.web.openapi.jobs import Job
from app.web.openapi.operation import ADMITTED, STREAM, Header, Operation, Query, Room, Told
from app.web.schemas.chat import ChatRequest
from app.web.schemas.completions import CompletionRequest
from app.web.schemas.embeddings import EmbeddingsRequest
from app.web.schemas.images import ImageRequest
from app.web.schemas.router import ParetoQuery, RouterRequest
from app.web.schemas.transcriptions import TranscriptionForm

TITLE = "Inference"
ASKING = (
    Header("Prefer", "respond-async: answer with the job; wait=N: wait N seconds before that"),
    Header("X-App-ID", "the app that asks"),
    Header("X-Cache-TTL", "seconds for which an equal answer may be given again",
           {"type": "integer", "minimum": 1, "maximum": 86_400}),
)  # fmt: skip


class Choice(Told):
    """One answer of a chat completion."""

    index: int
    message: dict[str, Any]
    finish_reason: str | None


class ChatCompletion(Told):
    """A chat completion. A stream sends `chat.completion.chunk` objects and ends with `[DONE]`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: dict[str, Any] | None


class TextChoice(Told):
    """One answer of a text completion."""

    index: int
    text: str
    finish_reason: str | None


class TextCompletion(Told):
    """A text completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: dict[str, Any] | None


class Embedding(Told):
    """The embedding of one input: numbers, or their bytes (float32, little-endian) as base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(Told):
    """The embeddings of all inputs, in their order."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: dict[str, Any] | None


class Images(Told):
    """Images, each with `url`, `b64_json` or both."""

    created: int
    data: list[dict[str, Any]]


class Transcription(Told):
    """The text of a recording."""

    text: str


class TranscriptionBody(TranscriptionForm):
    """The form of a transcription."""

    file: Annotated[
        bytes,
        WithJsonSchema({"type": "string", "format": "binary"}),
        Field(description="the recording"),
    ]


def door(about: str, gives: Any, takes: Any, **more: Any) -> Operation:
    """A route that makes a job, and answers with its result, a stream of it, or the job."""
    given = {"headers": ASKING, "also": {202: Job}, "refuses": ADMITTED, **more}
    return Operation(about, gives, takes=takes, **given)


CHAT = Room(TITLE, {
    "create_chat_completion": door("A chat completion: whole, streamed, or as a job",
                                   ChatCompletion, ChatRequest, forms=STREAM),
})  # fmt: skip
COMPLETIONS = Room(TITLE, {
    "create_completion": door("A text completion: whole, streamed, or as a job",
                              TextCompletion, CompletionRequest, forms=STREAM),
})  # fmt: skip
EMBEDDINGS = Room(TITLE, {
    "create_embedding": door("Embeddings of texts", Embeddings, EmbeddingsRequest),
})  # fmt: skip
IMAGES = Room(TITLE, {
    "create_image": door("Images from a text", Images, ImageRequest),
})  # fmt: skip
PICTURES = Room(TITLE, {
    "get_picture": Operation("A generated image, for an hour",
                             forms={"image/png": bytes, "image/jpeg": bytes, "image/webp": bytes}),
})  # fmt: skip
TRANSCRIPTIONS = Room(TITLE, {
    "create_transcription": door("The text of a recording", Transcription,
                                 {"multipart/form-data": TranscriptionBody},
                                 forms={"text/plain": str}),
})  # fmt: skip


class Routing(Told):
    """What the router chose, what it weighed, and who answered. `routing` of an answer."""

    selected_model: str
    selected_provider: str | None
    expected_error: float | None
    cost_adjusted_score: float | None
    cluster_id: int | None
    reasoning: str
    scores: list[dict[str, Any]]
    clusters: dict[str, float]
    excluded: list[dict[str, str]]
    profile: str | None
    decision_ms: float
    cached: bool
    answered_model: str = ""
    answered_provider: str = ""


class Routed(Told):
    """A chat completion and why this model gave it; with `execute: false` there is no answer, and
    `object` is `routing`."""

    id: str
    object: Literal["chat.completion", "routing"]
    created: int
    model: str
    routing: Routing
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None


class ProfileVersion(Told):
    """A profile that there is."""

    version: str
    origin: Literal["pushed", "feedback", "shipped"]
    parent: str | None
    models: list[str]
    created_at: int | None
    active: bool


class Profiles(Told):
    """The models that the active profile knows, and all versions there are."""

    profiles: list[str]
    count: int
    active: str
    versions: list[ProfileVersion]


class ParetoPoint(Told):
    """`cost` is a share of the dearest model's that is drawn."""

    cost: float
    expected_quality: float


class ParetoModel(ParetoPoint):
    """A model alone. `price_usd`: of a million tokens, three in to each that comes out. `drawn`: it
    is available, or none is."""

    model: str
    available: bool
    drawn: bool
    price_usd: float
    prompts: float


class Pareto(Told):
    """What a profile expects of itself at the prices of now, which nobody has measured: by its
    router, and by prompts shared out unseen between the models that are drawn."""

    object: Literal["router.pareto"]
    version: str
    active: bool
    measured: Literal[False]
    models: list[ParetoModel]
    router: list[ParetoPoint]
    no_router: list[ParetoPoint]


ROUTER = Room(TITLE, {
    "route": door("A chat completion by the model that suits its prompt and price, or with "
                  "`execute: false` the choice alone",
                  Routed, RouterRequest, forms=STREAM),
    "list_profiles": Operation("The models that the router may choose from, and its profiles",
                               Profiles),
    "show_pareto": Operation("The quality that a profile expects to buy, against its cost; "
                             "`active` is the active one",
                             Pareto, query=ParetoQuery, forms={"image/svg+xml": str}),
})  # fmt: skip


class ProviderRoute(Told):
    """A route of a model, and how it stands."""

    id: str
    type: Literal["primary", "backup"]
    enabled: bool
    params: dict[str, Any]


class ProvidersQuery(Query):
    """Whose routes."""

    model: Annotated[str, Field(description="the configured default model if absent")] = ""


PROVIDERS = Room("Models", {
    "list_providers": Operation("The routes of a model, and how they stand", list[ProviderRoute],
                                query=ProvidersQuery, refuses=(404,)),
})  # fmt: skip
