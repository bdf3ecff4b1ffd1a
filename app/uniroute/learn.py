"""Makes a new version of the active profile of what tenants said of routed answers."""

from dataclasses import dataclass

from app.db.connect import Connection
from app.errors import NotFound
from app.uniroute import store
from app.uniroute.heard import with_feedback
from app.uniroute.profile import Profile, default_profile, parse_profile, profile_text
from app.uniroute.shelf import shipped

WHO = "feedback"


@dataclass(frozen=True, slots=True)
class Learned:
    """`version` of the profile with all that was heard in it; `new`: it was not there before."""

    version: str
    lessons: int
    new: bool
    active: bool


def learn(connection: Connection, activate: bool) -> Learned | None:
    """Counts standing feedback into the profile that the active one stems from, and keeps that as a
    new version, which becomes the active one if `activate`. None if there is no feedback.

    All of it is counted each time, so feedback that was replaced, or whose content was deleted, no
    longer counts, and nothing counts twice.
    """
    with connection.transaction():
        active = store.active_version(connection) or shipped()[0]
        found = store.find_version(connection, active)
        base = found.parent if found is not None and found.parent is not None else active
        lessons = store.lessons(connection, base)
        if not lessons:
            return None
        source = f"{len(lessons)} ratings on {base}"
        profile = with_feedback(profile_of(connection, base), lessons, source)
        version = profile.version
        text = profile_text(profile).decode()
        new = store.keep_profile(connection, version, text, profile.models, WHO, base)
        store.drop_unused(connection, version)
        if activate and version != active:
            store.activate(connection, version, WHO)
            active = version
        return Learned(version, len(lessons), new, version == active)


def profile_of(connection: Connection, version: str) -> Profile:
    """The profile of a version, the one that comes along too. Raises NotFound."""
    try:
        return parse_profile(store.body_of(connection, version).encode(), version)
    except NotFound:
        if version != shipped()[0]:
            raise
        return default_profile()
