"""What a web process works with, made once and handed to every blueprint."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.accounts.jwt import Verifier, looks_like_jwt
from app.accounts.keys import KeyRing, Principal, jwt_principal, principal_of
from app.accounts.store import find_key
from app.accounts.tenants import live_tenant
from app.catalogue.load import CatalogueError, catalogue
from app.catalogue.model import Catalogue
from app.db.reads import Reads
from app.emotion.traits import unknown_trait
from app.events.follow import LogReader
from app.events.hub import Hub
from app.events.log import EventId
from app.jobs.service import Jobs
from app.jobs.store import tokens_of_day
from app.jobs.tail import Tail
from app.limits.limiter import Limiter
from app.queue import Bell
from app.settings import Settings
from app.uniroute.shelf import Names


@dataclass(frozen=True, slots=True)
class Front:
    """The parts behind the HTTP door. Nothing connects before it is used."""

    settings: Settings
    catalogue: Catalogue
    keys: KeyRing
    limiter: Limiter
    jobs: Jobs
    reads: Reads
    hub: Hub
    reader: LogReader
    profiles: Names

    def tail(self, job_id: str, tenant_id: str, last: EventId) -> Tail:
        """A reader of a job's events after `last`."""
        return Tail(self.jobs, self.hub, self.reader, job_id, tenant_id, last)


def front(settings: Settings) -> Front:
    """The front of a process with these settings. Raises CatalogueError."""
    reads = Reads(settings.postgres, "web")
    models = catalogue(settings)
    if (trait := unknown_trait(models.personality)) is not None:
        raise CatalogueError(f"personality.{trait}: no trait is known by this name")
    find = _finder(reads, models, Verifier.from_settings(settings))
    jobs = Jobs(settings.postgres, settings.redis, Bell(settings.redis), reads)
    return Front(
        settings=settings,
        catalogue=models,
        keys=KeyRing(find, settings.key_cache_seconds),
        limiter=Limiter(
            settings.redis,
            lambda bucket, day: reads.run(partial(tokens_of_day, bucket=bucket, day=day)),
            share=settings.web_processes,
        ),
        jobs=jobs,
        reads=reads,
        hub=Hub(settings.redis),
        reader=LogReader(settings.redis),
        profiles=Names(reads),
    )


def _finder(
    reads: Reads, models: Catalogue, verifier: Verifier | None
) -> Callable[[str], Principal | None]:
    """The one way from a credential to its principal, whatever it is."""
    if verifier is not None:
        verifier.start()

    def find(credential: str) -> Principal | None:
        if verifier is not None and looks_like_jwt(credential):
            claims = verifier.verify(credential)
            tenant = reads.run(lambda c: live_tenant(c, claims.tenant))
            return None if tenant is None else jwt_principal(claims, tenant, models)
        key = reads.run(lambda c: find_key(c, credential))
        return None if key is None else principal_of(key, models)

    return find
