"""Deleting documents and lunes for good. All of it may be broken off at any step, and begun
anew."""

from collections.abc import Callable

from app.db.connect import Connection
from app.lunes.erasing import store

Progress = Callable[[int], None]
"""Is told how many passages each step has deleted."""

DOCUMENTS = 50
SWEPT = 20
"""What one sweep deletes of each sort, so that whoever does it comes to its own work."""


def erase_version(
    connection: Connection, version: int, progress: Progress = lambda _: None
) -> None:
    """Deletes the passages of a version, and it."""
    while gone := store.drop_step(connection, version):
        progress(gone)


def erase_document(
    connection: Connection, document_id: str, progress: Progress = lambda _: None
) -> None:
    """Deletes a document that was marked, and all that there is of it."""
    while True:
        for version in store.versions_of(connection, document_id):
            erase_version(connection, version, progress)
        if store.drop_document(connection, document_id):
            return


def erase_lune(connection: Connection, lune: int, progress: Progress = lambda _: None) -> None:
    """Deletes a lune that was marked, and all that there is of it."""
    while documents := store.documents_of(connection, lune, DOCUMENTS):
        for document_id in documents:
            erase_document(connection, document_id, progress)
    store.drop_lune(connection, lune)


def sweep(connection: Connection) -> None:
    """Deletes some of what jobs left behind that ended before they were done."""
    versions, documents, lunes = store.stale(connection, SWEPT)
    for version in versions:
        erase_version(connection, version)
    for document_id in documents:
        erase_document(connection, document_id)
    for lune in lunes:
        erase_lune(connection, lune)
