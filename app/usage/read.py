"""Reading usage window by window, so that no read holds a connection for long."""

from collections.abc import Iterator, Sequence
from functools import partial

from app.db.reads import Reads
from app.errors import InvalidRequest
from app.usage import store
from app.usage.model import ROWS_MAX, Asked, Group, Key, Record, Sums

SUMS_SCAN = 5000
"""Jobs in a window of sums: some tens of milliseconds."""

RECORDS_SCAN = 1000
"""Jobs in a window of records, and so the most of them that are in memory at once."""


def usage(
    reads: Reads, asked: Asked, by: Sequence[Group], scan: int = SUMS_SCAN
) -> dict[Key, Sums]:
    """Sums by the groups `by`, ordered by their values; one row of zeros if there are neither
    groups nor jobs. Raises InvalidRequest for more than ROWS_MAX rows, and Unavailable."""
    merged: dict[Key, Sums] = {} if by else {(): Sums()}
    before: str | None = None
    while True:
        window = partial(store.sums, asked=asked, by=by, before=before, scan=scan)
        found, before = reads.run(window)
        for key, part in found:
            merged[key] = merged.get(key, Sums()) + part
        if len(merged) > ROWS_MAX:
            raise InvalidRequest(
                f"More than {ROWS_MAX:,} rows; narrow the time with from and to, add a filter, "
                "or group by less.",
                param="group_by",
            )
        if before is None:
            return dict(sorted(merged.items(), key=lambda item: [v or "" for v in item[0]]))


def windows(
    reads: Reads, asked: Asked, before: str | None, first: int | None = None
) -> Iterator[list[Record]]:
    """The records of jobs before the id `before`, newest first, in lists that are not empty.
    `first`: how many jobs the first window has. Raises Unavailable."""
    scan = first or RECORDS_SCAN
    while True:
        window = partial(store.records, asked=asked, before=before, scan=scan)
        found, before = reads.run(window)
        if found:
            yield found
        if before is None:
            return
        scan = RECORDS_SCAN


def page(reads: Reads, asked: Asked, before: str | None, limit: int) -> list[Record]:
    """The first `limit` records of jobs before the id `before`, newest first, and one more if there
    is one. Raises Unavailable."""
    found: list[Record] = []
    for some in windows(reads, asked, before, limit + 1):
        found += some
        if len(found) > limit:
            break
    return found[: limit + 1]
