"""Every setting, read from the environment once, in one frozen object.

The only room that reads the environment. `moonpool settings` prints the table that
`docs/settings.md` holds.
"""

import hashlib
import os
import sys
import tempfile
from functools import cache, cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote

from pydantic import (
    AliasChoices,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET_PATH_MAX = 90
"""A unix socket's path holds 107 bytes on Linux and 103 on macOS; the file name is part of it."""


class Settings(BaseSettings):
    """Settings of one process. Unset database and Redis addresses mean the embedded ones."""

    model_config = SettingsConfigDict(
        env_prefix="MOONPOOL_", frozen=True, extra="ignore", populate_by_name=True
    )

    database_url: str = Field("", description="Postgres address; unset: embedded Postgres")
    redis_url: str = Field("", description="Redis address; unset: embedded Redis")
    data_dir: Path = Field(Path(".moonpool"), description="where the embedded parts keep data")
    host: str = Field("127.0.0.1", description="address that the web listens on")
    port: int = Field(8000, ge=1, le=65535, description="port of the web")
    flower_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of Flower; 0: the web's port plus 1000, or the next free",
    )
    catalogue: Path | None = Field(
        None, description="YAML of providers and models, added over the built-in one"
    )
    log_level: str = Field("info", description="debug, info, warning or error")
    web_processes: PositiveInt = Field(1, description="web processes behind the port")
    task_events: str = Field(
        "all",
        description="lanes whose workers tell Flower of their tasks: `all`, `none`, or names with "
        "commas, such as `background,system`, to spare a hot lane the work",
    )

    lane: str = Field("interactive", description="the lane of a worker process")
    slots_interactive: PositiveInt = Field(
        1024, description="jobs at once in an interactive worker"
    )
    slots_background: PositiveInt = Field(256, description="jobs at once in a background worker")
    slots_batch: PositiveInt = Field(64, description="jobs at once in a batch worker")
    slots_system: PositiveInt = Field(16, description="jobs at once in a system worker")
    backlog_interactive: PositiveInt = Field(
        2000, description="waiting interactive jobs from which the door answers 503"
    )
    backlog_background: PositiveInt = Field(
        20000, description="waiting background jobs from which the door answers 503"
    )
    backlog_batch: PositiveInt = Field(
        100000, description="waiting batch jobs from which the door answers 503"
    )
    backlog_system: PositiveInt = Field(
        10000, description="waiting system jobs from which the door answers 503"
    )

    batch_window: PositiveInt = Field(
        512, description="lines of a tenant's batches in flight, waiting or running, at most"
    )
    batch_nice: int = Field(
        10,
        ge=0,
        le=19,
        description="by how much batch workers yield the processor, as `nice` has it",
    )

    connect_timeout: PositiveFloat = Field(5, description="seconds to connect to a provider")
    first_token_timeout: PositiveFloat = Field(
        60, description="seconds from a provider call to its first token"
    )
    idle_timeout: PositiveFloat = Field(30, description="seconds between two tokens of a provider")
    total_timeout: PositiveFloat = Field(
        600, description="seconds from admission to the end of a job"
    )
    breaker_failures: PositiveInt = Field(
        5,
        description="failures in a row from which a route is only called when no other can answer",
    )
    breaker_cooldown: PositiveFloat = Field(
        1, description="seconds until such a route is tried again; doubled each time it fails again"
    )
    breaker_cooldown_max: PositiveFloat = Field(30, description="the most that it is doubled to")
    retry_budget: float = Field(
        0.2, ge=0, le=1, description="retries of a provider for each first call, beside a reserve"
    )
    body_limit: PositiveInt = Field(20_000_000, description="bytes of a request body at most")
    audio_limit: PositiveInt = Field(
        26_214_400, description="bytes of an audio file to transcribe at most"
    )
    file_limit: PositiveInt = Field(209_715_200, description="bytes of an uploaded file at most")
    file_quota: PositiveInt = Field(
        10_000_000_000, description="bytes of all files of a tenant at most"
    )
    s3_bucket: str = Field(
        "",
        description="the bucket in which files are kept, with the key in `MOONPOOL_S3_KEY_ID` and "
        "`MOONPOOL_S3_SECRET`; empty: in `files` of the data directory",
    )
    s3_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^/?#]+(/[^?#]*)?)?$",
        description="where the bucket is, if it is not Amazon's: `https://minio.example.com`",
    )
    s3_region: str = Field("", description="region of the bucket")
    s3_prefix: str = Field("files/", description="what the keys of files in the bucket begin with")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#]+(/[^?#]*)?)?$",
        description="where clients reach the web, such as `https://api.example.com`, for the "
        "addresses of images, web chats and cited documents; empty: where the request came in, and "
        "of documents the path alone",
    )

    lease_seconds: PositiveFloat = Field(
        8, description="how long a worker process counts as alive after its last heartbeat"
    )
    heartbeat_seconds: PositiveFloat = Field(2, description="how often a worker renews its lease")
    drain_seconds: PositiveFloat = Field(
        3,
        description="how long a stopping worker lets running jobs finish before it hands them back",
    )
    key_cache_seconds: PositiveFloat = Field(
        3, description="how long a web process may trust a key it looked up; bounds revocation"
    )
    jwt_issuers: str = Field(
        "",
        description="issuers whose JWTs are taken, spelled as in `iss`, with commas between; "
        "empty: none",
    )
    jwt_audiences: str = Field(
        "", description="the `aud` values that a JWT may carry, with commas between"
    )
    jwt_jwks_url: str = Field(
        "",
        description="where the only issuer's key set is; "
        "empty: `/.well-known/jwks.json` under each issuer",
    )
    jwt_tenant_claim: str = Field(
        "custom:tenant_id", min_length=1, description="the claim of a JWT that names the tenant"
    )

    emotion_half_life: PositiveFloat = Field(
        300, description="seconds in which half of what moved a session's emotion has faded"
    )
    memory_tokens: PositiveInt = Field(
        800, description="tokens of memories at most that a chat request's prompt is given"
    )
    lune_tokens: PositiveInt = Field(
        1500, description="tokens of passages from lunes at most that a chat's prompt is given"
    )
    lune_bytes: PositiveInt = Field(
        10_000_000_000, description="bytes of documents in all lunes of a tenant at most"
    )
    lune_allow: str = Field(
        "",
        description="`host:port` with commas between, from which documents may be fetched although "
        "it is private or speaks plain http",
    )
    drift_total: float = Field(
        0.2, ge=0, le=1, description="how far feedback may move a trait from the catalogue's"
    )
    drift_daily: float = Field(
        0.05, ge=0, le=1, description="how far feedback may move a trait in one day (UTC)"
    )

    web_chat_ttl: PositiveInt = Field(
        604_800, description="seconds until the link of a web chat ends"
    )
    web_chat_budget_usd: float = Field(
        1, ge=0, le=1e6, description="dollars that the turns of one web chat may cost at most"
    )

    router_shadow: bool = Field(
        False,
        description="whether the router also decides for requests that name a model with a "
        "profile: logged and counted after their answers, and of no effect on them",
    )
    router_learns: bool = Field(
        False,
        description="whether the profile that each night counts feedback into becomes the active "
        "one by itself",
    )

    webhook_allow: str = Field(
        "",
        description="`host:port` with commas between, which webhooks may reach although it is "
        "private or speaks plain http; for development",
    )

    ollama_url: str = Field(
        "http://127.0.0.1:11434",
        validation_alias=AliasChoices("MOONPOOL_OLLAMA_URL", "ollama_url"),
        description="where an Ollama is looked for; empty: nowhere",
    )

    retention_days: PositiveInt = Field(
        30,
        description="days that prompts and answers are kept, for tenants that have no number of "
        "their own",
    )

    own_key_share: float = Field(
        0,
        ge=0,
        le=1,
        description="share of the price that an answer costs when the provider was called with the "
        "tenant's own key",
    )
    cache_hit_share: float = Field(
        0, ge=0, le=1, description="share of the price that an answer from the cache costs"
    )

    @cached_property
    def home(self) -> Path:
        """The data directory as an absolute path."""
        return self.data_dir.expanduser().absolute()

    @cached_property
    def socket_dir(self) -> Path:
        """Where the embedded parts put their sockets: in the data directory if the path fits.

        libpq takes a comma in it for the end of one host and the start of the next.
        """
        inside = self.home / "run"
        if len(os.fsencode(inside)) <= SOCKET_PATH_MAX and "," not in str(inside):
            return inside
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"moonpool-{digest}"

    @property
    def embedded_postgres(self) -> bool:
        return not self.database_url

    @property
    def embedded_redis(self) -> bool:
        return not self.redis_url

    @cached_property
    def postgres(self) -> str:
        """The Postgres address in use."""
        if self.database_url:
            return self.database_url
        return f"postgresql://postgres@/moonpool?host={quote(str(self.socket_dir))}"

    @cached_property
    def redis(self) -> str:
        """The Redis address in use."""
        return self.redis_url or f"unix://{quote(str(self.socket_dir))}/redis.sock?db=0"

    @property
    def broker(self) -> str:
        """The same Redis as kombu spells it."""
        if self.redis.startswith("unix://"):
            path, _, query = self.redis.removeprefix("unix://").partition("?")
            db = query.removeprefix("db=") or "0"
            return f"redis+socket://{path}?virtual_host={db}"
        if self.redis.startswith("rediss://") and "ssl_cert_reqs" not in self.redis:
            # Unlike redis-py, kombu would not look at the certificate.
            return f"{self.redis}{'&' if '?' in self.redis else '?'}ssl_cert_reqs=required"
        return self.redis

    @property
    def flower_address(self) -> str:
        """Where Flower answers: on this machine only, since it can run any task."""
        auto = self.port + 1000 if self.port <= 64535 else self.port - 1000
        return f"http://127.0.0.1:{self.flower_port or auto}"

    @property
    def web_address(self) -> str:
        """Where this machine reaches the web, also when it listens on every address."""
        if ":" in self.host:
            return f"http://[{'::1' if self.host == '::' else self.host}]:{self.port}"
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"  # noqa: S104

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its `base_url`."""
        return f"{self.web_address}/v1"

    @field_validator("task_events")
    @classmethod
    def _known_lanes(cls, value: str) -> str:
        lanes = {name.removeprefix("slots_") for name in cls.model_fields if "slots_" in name}
        unknown = set(value.split(",")) - lanes - {"all", "none"}
        if unknown:
            raise ValueError(f"no lane is named {', '.join(sorted(unknown))}")
        return value

    @model_validator(mode="after")
    def _complete_jwt(self) -> Self:
        issuers = listed(self.jwt_issuers)
        for address in filter(None, (*issuers, self.jwt_jwks_url)):
            if not address.startswith(("https://", "http://")):
                raise ValueError(
                    "MOONPOOL_JWT_ISSUERS and MOONPOOL_JWT_JWKS_URL hold http(s) addresses"
                )
        if issuers and not listed(self.jwt_audiences):
            raise ValueError("MOONPOOL_JWT_ISSUERS is set, so MOONPOOL_JWT_AUDIENCES must be too")
        if self.jwt_jwks_url and len(issuers) != 1:
            raise ValueError("MOONPOOL_JWT_JWKS_URL needs exactly one of MOONPOOL_JWT_ISSUERS")
        return self

    def sends_task_events(self, lane: str) -> bool:
        """Whether the workers of `lane` tell Flower of their tasks."""
        return self.task_events == "all" or lane in self.task_events.split(",")

    def slots(self, lane: str) -> int:
        """How many jobs one worker process of `lane` runs at once."""
        return int(getattr(self, f"slots_{lane}"))

    def backlog(self, lane: str) -> int:
        """How many jobs may wait in `lane` before the door sheds."""
        return int(getattr(self, f"backlog_{lane}"))


def listed(value: str) -> tuple[str, ...]:
    """The parts of a setting that has commas between them, without spaces and empty parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()


def override(*, data_dir: str | None = None, port: int | None = None) -> None:
    """Lets options of a command stand over the environment, in this process and its children."""
    for name, value in (("MOONPOOL_DATA_DIR", data_dir), ("MOONPOOL_PORT", port)):
        if value is not None:
            os.environ[name] = str(value)
    settings.cache_clear()


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child process: this one's, with paths made absolute and this Python's
    programs first on PATH, so that the child may run in another directory. `more` is laid over it.
    """
    now = settings()
    programs = str(Path(sys.executable).parent)
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join([programs, env.get("PATH", os.defpath)])
    env["MOONPOOL_DATA_DIR"] = str(now.home)
    env["MOONPOOL_PORT"] = str(now.port)
    if now.catalogue is not None:
        env["MOONPOOL_CATALOGUE"] = str(now.catalogue.expanduser().absolute())
    return env | more


def secret(name: str) -> str:
    """A provider's secret: the variable `name`, or the content of the file that `{name}_FILE`
    points at; empty if neither is set. Raises OSError if the file cannot be read."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text().strip() if path else os.environ.get(name, "").strip()
