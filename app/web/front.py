"""What a web process works with, made once and handed to every blueprint."""

from dataclasses import dataclass

from app.accounts import store as accounts
from app.accounts.keys import KeyRing
from app.catalogue.load import catalogue
from app.catalogue.model import Catalogue
from app.db.reads import Reads
from app.events.follow import LogReader
from app.events.hub import Hub
from app.events.log import EventId
from app.jobs.service import Jobs
from app.jobs.tail import Tail
from app.queue import Bell
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Front:
    """The parts behind the HTTP door. Nothing connects before it is used."""

    settings: Settings
    catalogue: Catalogue
    keys: KeyRing
    jobs: Jobs
    reads: Reads
    hub: Hub
    reader: LogReader

    def tail(self, job_id: str, tenant_id: str, last: EventId) -> Tail:
        """A reader of a job's events after `last`."""
        return Tail(self.jobs, self.hub, self.reader, job_id, tenant_id, last)


def front(settings: Settings) -> Front:
    """The front of a process with these settings. Raises CatalogueError."""
    reads = Reads(settings.postgres, "web")
    keys = KeyRing(
        lambda digest: reads.run(lambda c: accounts.find_key(c, digest)),
        settings.key_cache_seconds,
    )
    jobs = Jobs(settings.postgres, settings.redis, Bell(settings.redis), reads)
    return Front(
        settings=settings,
        catalogue=catalogue(settings),
        keys=keys,
        jobs=jobs,
        reads=reads,
        hub=Hub(settings.redis),
        reader=LogReader(settings.redis),
    )
