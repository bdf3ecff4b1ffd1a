"""The active profile as a process knows it: looked for now and then, and only when it is needed."""

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

import orjson

from app.db.connect import Connection
from app.db.reads import Reads
from app.embedding.apart import apart
from app.errors import InvalidRequest, MoonpoolError
from app.telemetry import log
from app.uniroute import store
from app.uniroute.model import DEFAULT

if TYPE_CHECKING:
    from app.embedding.minilm import Embedder
    from app.uniroute.decide import Router
    from app.uniroute.profile import Profile

REFRESH_S = 5.0
"""Another profile counts in every process after this long at most."""


@cache
def shipped() -> tuple[str, tuple[str, ...]]:
    """Version and models of the profile that comes along."""
    told = orjson.loads(DEFAULT.read_bytes())
    return told["version"], tuple(told["models"])


PROFILES_KEPT = 4
"""Profiles that `Profiles` keeps, about a megabyte each."""


class _Look:
    """The active version, read when it was last read too long ago. With the database away what was
    known stays good, and at first the profile that comes along."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._version: str | None = None
        self._until = 0.0

    def version(self) -> str | None:
        """None for the profile that comes along."""
        now = time.monotonic()
        if now >= self._until:
            # Those who come meanwhile do not look too.
            self._until = now + REFRESH_S
            try:
                self._version = self._reads.run(store.active_version)
            except MoonpoolError as error:
                log("router").warning("active profile not read", error=str(error))
        return self._version


class Names:
    """The models that the active profile knows, for the web."""

    def __init__(self, reads: Reads) -> None:
        self._reads, self._look = reads, _Look(reads)
        self._known: dict[str | None, tuple[str, ...]] = {}

    def now(self) -> tuple[str, ...]:
        """In the order of their names. Raises Unavailable if Postgres is away just when another
        profile was activated."""
        version = self._look.version()
        found = self._known.get(version)
        if found is None:
            found = shipped()[1]
            if version is not None:
                read: Callable[[Connection], tuple[str, ...]] = partial(
                    store.models_of, version=version
                )
                found = self._reads.run(read)
            self._known = {version: found}
        return found


class Routers:
    """The router of the active profile, for workers."""

    def __init__(self, reads: Reads, embedder: "Embedder") -> None:
        self._reads, self._embedder, self._look = reads, embedder, _Look(reads)
        self._version: str | None = None
        self._router: Router | None = None

    def now(self) -> "Router":
        """The router to decide by."""
        version = self._look.version()
        if self._router is None or version != self._version:
            try:
                self._router, self._version = self._made(version), version
            except MoonpoolError as error:
                log("router").error("profile not used", name=version, error=str(error))
                if self._router is None:
                    self._router = self._made(None)
        return self._router

    def _made(self, version: str | None) -> "Router":
        from app.uniroute.decide import Router

        return Router(_read(self._reads, version), self._embedder)


class Profiles:
    """Profiles by their versions, of which the last that were asked for are kept. Numpy is loaded
    when the first is asked for."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._kept: OrderedDict[str, Profile] = OrderedDict()

    def find(self, version: str) -> "Profile":
        """Raises NotFound, Unavailable, and InvalidRequest if it is not as it was written."""
        found = self._kept.get(version)
        if found is None:
            found = _read(self._reads, None if version == shipped()[0] else version)
            self._kept[version] = found
        self._kept.move_to_end(version)
        while len(self._kept) > PROFILES_KEPT:
            self._kept.popitem(last=False)
        return found


def _read(reads: Reads, version: str | None) -> "Profile":
    """The profile of a version; None: the one that comes along."""
    from app.uniroute.profile import default_profile, parse_profile

    if version is None:
        return apart(default_profile)
    body = reads.run(lambda c: store.body_of(c, version))
    profile = apart(parse_profile, body.encode(), version)
    if profile.version != version:
        raise InvalidRequest(f"the profile {version} has the checksum {profile.version}")
    return profile
