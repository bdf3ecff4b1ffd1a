"""`memory.store` remembers what it is told; `memory.forget` deletes what is remembered of a user, a
session or all, and says what is left."""

from contextlib import closing
from functools import partial
from typing import Any

import orjson

from app.db.connect import Connection, connect
from app.db.reads import Reads
from app.errors import Gone
from app.jobs import store as jobs
from app.jobs.forget import erase_logs
from app.memory.model import NewMemory, Scope, Stored
from app.memory.shelf import store
from app.memory.shelf.keep import keep
from app.memory.shelf.model import Which, memory_object, stored_id
from app.redis import Wire
from workers.chores.base import Chore

STEP = 200
"""Memories deleted in one transaction."""


class StoreMemories(Chore):
    """Stores one memory or a list of them."""

    def work(self) -> dict[str, Any]:
        request = orjson.loads(self.job.request)
        many = request["many"]
        wanted = [
            self._new(fields, place if many else None)
            for place, fields in enumerate(request["memories"])
        ]
        settings, job = self.parts.settings, self.job
        keeping = partial(keep, self._reads, settings, job.id, job.created_s, wanted)
        stored = self.with_postgres(keeping)
        if many:
            told = [_stub(new, done) for (_, new), done in zip(wanted, stored, strict=True)]
            return {"object": "list", "data": told}
        return self._whole(stored[0])

    @property
    def _reads(self) -> Reads:
        assert self.parts.reads is not None, "every desk has connections for reads"
        return self.parts.reads

    def _new(self, fields: dict[str, Any], place: int | None) -> tuple[Scope, NewMemory]:
        scope = Scope(self.job.tenant_id, fields.pop("user", None), fields.pop("session_id", None))
        ttl_s = fields.pop("ttl", None)
        return scope, NewMemory(id=stored_id(self.job.id, place), ttl_s=ttl_s, **fields)

    def _whole(self, stored: Stored | None) -> dict[str, Any]:
        """The memory as it stands now. Raises Gone if it is no longer there."""
        found = None
        if stored is not None:
            find = partial(store.find, tenant_id=self.job.tenant_id, memory_id=stored.id)
            found = self.with_postgres(lambda: self._reads.run(find))
        if stored is None or found is None:
            raise Gone("The memory was forgotten before it was stored.")
        return {**memory_object(found.memory, found.summary_id), "merged": stored.merged}


def _stub(new: NewMemory, stored: Stored | None) -> dict[str, Any]:
    told = {"object": "memory", "id": new.id, "merged": False, "forgotten": stored is None}
    return told if stored is None else {**told, "id": stored.id, "merged": stored.merged}


class ForgetMemories(Chore):
    """Deletes step by step until nothing is found. From its first moment, what jobs admitted before
    it would store later of the same is not stored; what was asked for after it stays."""

    def work(self) -> dict[str, Any]:
        job = self.job
        which = Which(job.tenant_id, **orjson.loads(job.request))
        with connect(self.parts.settings.postgres, "forget") as connection:
            store.note_forgetting(connection, job.id, which, job.created_s)
            while True:
                ids, stored_by = store.forgettable(connection, which, job.created_s, STEP)
                if not ids:
                    break
                self._forget(connection, ids, stored_by)
            done = store.forgotten_so_far(connection, job.id)
        return {
            "object": "memory.forgetting",
            "deleted": done.memories,
            "summaries_deleted": done.summaries,
            "jobs_forgotten": done.jobs,
            "remaining": len(ids),
            "checked_at": int(done.now_s),
        }

    def _forget(self, connection: Connection, ids: list[str], stored_by: list[str]) -> None:
        """Deletes memories, and what the jobs that stored them were asked and answered."""
        self.with_redis(lambda: self._erase_logs(stored_by))
        with connection.transaction():
            forgotten = jobs.forget(connection, stored_by, self.job.id)
            deleted, summaries = store.delete(connection, self.job.tenant_id, ids)
            store.count_forgotten(connection, self.job.id, deleted, summaries, len(forgotten))
        done = store.forgotten_so_far(connection, self.job.id)
        self.relay.progress(deleted=done.memories, summaries_deleted=done.summaries)

    def _erase_logs(self, job_ids: list[str]) -> None:
        with closing(Wire(self.parts.settings.redis)) as wire:
            erase_logs(wire, job_ids)
