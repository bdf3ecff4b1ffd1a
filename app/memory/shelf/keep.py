"""Storing what a job has to remember."""

from collections.abc import Sequence
from functools import partial

from app.db.reads import Reads
from app.embedding.vector import as_text
from app.memory.model import NewMemory, Scope, Stored
from app.memory.service import Memories
from app.memory.shelf.store import store_unless_forgotten
from app.settings import Settings


def keep(
    reads: Reads, settings: Settings, job_id: str, admitted_s: float,
    wanted: Sequence[tuple[Scope, NewMemory]],
) -> list[Stored | None]:  # fmt: skip
    """Stores the memories of a job admitted at `admitted_s`, unix seconds, in their order; None in
    the place of one whose scope has been forgotten since. Each is committed by itself, and a run
    that comes again goes on where the first was broken off.

    Raises Conflict, Unavailable, ModelUnfit and OSError, as `Memories` does.
    """
    vectors = Memories(reads, settings).embed([new.content for _, new in wanted])
    stored = []
    for place, ((scope, new), vector) in enumerate(zip(wanted, vectors, strict=True)):
        one = partial(
            store_unless_forgotten, scope=scope, new=new, vector=as_text(vector), job_id=job_id,
            place=place, admitted_s=admitted_s,
        )  # fmt: skip
        stored.append(reads.run(one))
    return stored
