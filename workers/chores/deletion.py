"""`content.deletion`: deletes what a selection of jobs was asked and answered, and proves it."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from app.batches.forgetting.store import WaitingLines, forget_waiting
from app.db.connect import Connection, connect
from app.db.reads import Reads
from app.files.service import Files
from app.jobs.forget import erase_logs, forget, logs_left
from app.redis import Wire
from app.retention.model import Selection
from app.retention.store import Page, database_now, mark_swept, matching
from workers.chores.base import Chore

STEP = 500
"""Jobs forgotten in one transaction."""


@dataclass(slots=True)
class Found:
    """What one look at all that matches has found; the fields of `Page`, counted."""

    kept: int = 0
    deleted: int = 0
    earlier: int = 0
    open: int = 0
    logs: int = 0
    first_id: str | None = None
    last_id: str | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, page: Page, logs: int = 0) -> None:
        """Adds a page. The digest takes the deleted ids in order, a newline behind each."""
        self.kept += len(page.kept)
        self.deleted += len(page.deleted)
        self.earlier += page.earlier
        self.open += page.open
        self.logs += logs
        if page.deleted:
            self.first_id, self.last_id = self.first_id or page.deleted[0], page.deleted[-1]
            self.digest.update("".join([f"{job_id}\n" for job_id in page.deleted]).encode())


class Deletion(Chore):
    """Goes through all that matches, three times: to count it, to delete it, to see it gone. What
    waits in batches goes before.

    Each step of the second is a transaction and marks its jobs with this job's id. So an attempt
    that comes after a crash goes on with what is left, and counts what the first had deleted.
    """

    def work(self) -> dict[str, Any]:
        selection = Selection.from_json(self.job.request)
        with connect(self.parts.settings.postgres, "deletion") as connection:
            self._forget_waiting(connection, selection)
            found = Found()
            for page in self._pages(connection, selection):
                found.add(page)
            self._progress(found.kept + found.deleted, found.deleted)
            while True:
                self._delete(connection, selection, found)
                proven = self._prove(connection, selection)
                if proven.kept == 0 and proven.logs == 0:
                    break
                # Jobs that were open before have ended: they are meant too.
                found = proven
            if selection.reason == "retention" and selection.before and proven.open == 0:
                mark_swept(connection, self.job.tenant_id, selection.before)
            files = self._delete_files(selection)
            return self._result(proven, files, selection, database_now(connection))

    def _pages(self, connection: Connection, selection: Selection) -> Iterator[Page]:
        job, after = self.job, None
        while True:
            page = matching(connection, job.tenant_id, job.id, job.created_s, selection, after)
            if page.last is None:
                return
            yield page
            after = page.last

    def _delete(self, connection: Connection, selection: Selection, found: Found) -> None:
        matched, deleted = found.kept + found.deleted, found.deleted
        for page in self._pages(connection, selection):
            for start in range(0, len(page.kept), STEP):
                deleted += self._forget(connection, page.kept[start : start + STEP])
                self._progress(max(matched, deleted), deleted)

    def _forget(self, connection: Connection, ids: list[str]) -> int:
        def once() -> int:
            with closing(Wire(self.parts.settings.redis)) as wire:
                return len(forget(connection, wire, ids, self.job.id))

        return self.with_redis(once)

    def _prove(self, connection: Connection, selection: Selection) -> Found:
        """Counts again what matches. An event log that was written late is deleted too."""
        found = Found()
        for page in self._pages(connection, selection):
            found.add(page, self._logs_left(page.deleted))
        return found

    def _logs_left(self, ids: list[str]) -> int:
        def once() -> int:
            with closing(Wire(self.parts.settings.redis)) as wire:
                if logs_left(wire, ids):
                    erase_logs(wire, ids)
                return logs_left(wire, ids)

        return self.with_redis(once)

    def _delete_files(self, selection: Selection) -> int:
        """Deletes the files that a selection means, which it does by time and app alone. Those that
        are past their retention go by themselves."""
        if selection.reason == "retention" or selection.names_jobs:
            return 0
        before = self._before(selection)
        with closing(Reads(self.parts.settings.postgres, "files")) as database:
            files = Files(database, self.parts.settings)
            return files.delete_before(self.job.tenant_id, selection.app_id, before)

    def _forget_waiting(self, connection: Connection, selection: Selection) -> None:
        """Calls off the lines of batches that a selection means and that are no jobs yet."""
        if selection.job_ids is None:
            lines = WaitingLines(
                self.job.tenant_id, self._before(selection), selection.app_id, selection.user,
                selection.session_id,
            )  # fmt: skip
            forget_waiting(connection, lines, self.job.id)

    def _before(self, selection: Selection) -> float:
        made_s = self.job.created_s
        return made_s if selection.before is None else min(selection.before, made_s)

    def _progress(self, matched: int, deleted: int) -> None:
        self.relay.progress(matched=matched, deleted=deleted, remaining=matched - deleted)

    def _result(
        self, proven: Found, files: int, selection: Selection, now_s: float
    ) -> dict[str, Any]:
        return {
            "object": "content.deletion",
            "deleted": proven.deleted,
            # A job without content no longer tells its user.
            "already_deleted": proven.earlier if selection.user is None else None,
            "open": proven.open,
            "remaining": proven.kept,
            "redis_keys_remaining": proven.logs,
            "files_deleted": files,
            "proof": {
                "checked_at": int(now_s),
                "jobs_sha256": proven.digest.hexdigest(),
                "first_id": proven.first_id,
                "last_id": proven.last_id,
            },
            "kept": "ledger and usage rows",
        }
