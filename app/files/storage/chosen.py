"""The storage that the settings name."""

from functools import cache

from app.errors import MoonpoolError
from app.files.storage.base import Storage
from app.files.storage.local import Directory
from app.ids import new_id
from app.settings import Settings

TRIAL = b"moonpool"


@cache
def storage_of(settings: Settings) -> Storage:
    """The bucket of the settings, or a directory where they name none; one for a process, since a
    client of a bucket takes a tenth of a second and megabytes to make, and keeps connections."""
    if settings.s3_bucket:
        # Takes a while to import, and most do without.
        from app.files.storage.s3 import bucket_of

        return bucket_of(settings)
    return Directory(settings.home / "files")


def try_storage(storage: Storage) -> str:
    """What is wrong with a storage, found by writing, reading and deleting a few bytes; empty if
    nothing is."""
    key = new_id("file")
    try:
        writer = storage.writer(key)
        try:
            writer.write(TRIAL)
            writer.finish()
            same = b"".join(storage.read(key)) == TRIAL
        finally:
            writer.abandon()
            storage.delete(key)
    except MoonpoolError as error:
        return f"{error.message} ({error.__cause__})" if error.__cause__ else error.message
    return "" if same else "what was written is not what is read"
