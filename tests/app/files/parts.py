"""What tests of files look at: rows, and bytes wherever they lie."""

from app.db.connect import Connection
from app.files.service import Files
from app.files.storage.local import Directory
from app.files.storage.s3 import Bucket

PREFIX = "files/"


def text(files: Files, tenant_id: str, content: bytes = b"moon", **options: object) -> str:
    """The id of a new file."""
    row = files.create(tenant_id, "user_data", "a.txt", [content], **options)  # type: ignore[arg-type]
    return row.id


def rows(connection: Connection) -> dict[str, str]:
    """The states of all files, by id."""
    return dict(connection.execute("SELECT id, state FROM file ORDER BY id").fetchall())


def lying(files: Files) -> list[str]:
    """All that lies in a storage: names of files whole and begun, and of uploads that never
    ended."""
    storage = files.storage
    if isinstance(storage, Directory):
        return sorted(path.name for path in storage._root.rglob("*") if path.is_file())
    assert isinstance(storage, Bucket)
    objects = storage.client.list_objects_v2(Bucket=storage._name).get("Contents", [])
    begun = storage.client.list_multipart_uploads(Bucket=storage._name).get("Uploads", [])
    return sorted(found["Key"].rpartition("/")[2] for found in [*objects, *begun])


def forget_the_busy(connection: Connection) -> None:
    """Lets all who write or remove count as lost."""
    connection.execute("UPDATE file SET busy_until = now() WHERE busy_until IS NOT NULL")


def patterned(size: int) -> bytes:
    """Bytes in which no two places look alike."""
    return b"".join(b"%08x" % at for at in range(0, size, 8))[:size]
