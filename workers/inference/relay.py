"""One attempt's way to those who listen: gathers its answer and writes its event log."""

from typing import Any

import orjson

from app.events.log import QUEUED
from app.events.publish import JobLog, Publisher
from app.jobs.model import Claimed
from app.jobs.tail import snapshot
from app.limits.release import Release
from app.lunes.references import References
from workers.providers.base import Answer, Chunk, Completion
from workers.providers.collect import Collector


class Relay:
    """`quiet` jobs have a client that waits for the whole answer: nothing is written before the
    end, which spares two writes a job. Of a batch's line nothing is written at all: hardly anybody
    follows one, and who does is told its end by Postgres."""

    def __init__(self, publisher: Publisher, job: Claimed) -> None:
        self._publisher, self._job = publisher, job
        self._silent = job.batch_id is not None
        self._quiet = job.door == "sync" or self._silent
        self._collector = Collector()
        self._whole: Completion | Answer | None = None
        self._log = JobLog(job.id, job.attempt, self._snapshot)
        self.spoke = False
        self.told: dict[str, Any] = {}
        self.references: References | None = None

    def started(self) -> None:
        """Writes `started`, or `restarted` where an earlier attempt may have been heard."""
        data: dict[str, Any] = {
            "job_id": self._job.id,
            "attempt": self._job.attempt,
            "model": self._job.model,
            "created": int(self._job.created_s),
        }
        name = "started"
        if self._job.attempt > 1:
            name, data["discard_after"] = "restarted", str(QUEUED)
        self._log.event(name, orjson.dumps(data))
        if not self._quiet:
            self._publisher.wrote(self._log)

    def context(self, told: dict[str, Any]) -> None:
        """Writes `context`: what the answer will tell, beside its choices, of what shaped it. It is
        written anew where its end adds to that."""
        if not told:
            return
        self.told = told
        self._log.event("context", orjson.dumps(told))
        if not self._quiet:
            self._publisher.wrote(self._log)

    def chunk(self, chunk: Chunk) -> None:
        """Passes on what one read from the provider gave."""
        choices = chunk.choices
        if choices:
            self.spoke = True
            self._collector.add(choices)
            if self.references is not None:
                choices = self._with_references(self.references, choices)
            self._log.delta([orjson.dumps(choice) for choice in choices])
            self._publisher.wrote(self._log)

    def whole(self, answer: Completion | Answer) -> None:
        """Takes an answer that came in one piece."""
        self._whole = answer
        if self.references is not None and isinstance(answer, Completion):
            for choice in answer.choices:
                message, index = choice["message"], choice.get("index") or 0
                text = message.get("content") or ""
                if notes := self.references.annotations(index, text, message):
                    message["annotations"] = [*(message.get("annotations") or ()), *notes]
            self.context({**self.told, "url_references": self.references.urls()})

    @property
    def answer(self) -> Answer | None:
        """The answer to what is no conversation."""
        return self._whole if isinstance(self._whole, Answer) else None

    def choices(self) -> list[dict[str, Any]]:
        """The answer so far, where it has choices."""
        if isinstance(self._whole, Answer):
            return []
        return self._whole.choices if self._whole is not None else self._collector.choices()

    def text(self) -> str:
        """The text of the answer so far, all choices."""
        texts = [choice["message"].get("content") for choice in self.choices()]
        return "".join(text for text in texts if isinstance(text, str))

    def _with_references(
        self, references: References, choices: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The same choices; those at their end say what their whole text cites."""
        if not any(choice.get("finish_reason") for choice in choices):
            return choices
        told = [self._ended(references, choice) for choice in choices]
        self.context({**self.told, "url_references": references.urls()})
        return told

    def _ended(self, references: References, choice: dict[str, Any]) -> dict[str, Any]:
        index, delta = choice.get("index") or 0, choice.get("delta") or {}
        if not choice.get("finish_reason"):
            return choice
        notes = references.annotations(index, self._collector.text(index), delta)
        if not notes:
            return choice
        self._collector.add([{"index": index, "delta": {"annotations": notes}}])
        whole = [*(delta.get("annotations") or ()), *notes]
        return {**choice, "delta": {**delta, "annotations": whole}}

    def write_snapshot(self) -> None:
        """Writes the answer so far, for a reader whose place the log no longer holds."""
        self._log.event("snapshot", self._snapshot())
        self._write()

    def _snapshot(self) -> bytes:
        return snapshot(self.choices(), self.told)

    def last_seq(self) -> int:
        """The seq of the terminal event to come: all that waits, `usage`, then itself."""
        return self._log.last_seq_after(2)

    def ended(
        self, state: str, usage: bytes, error: bytes, result: bytes | None, release: Release
    ) -> None:
        """Writes `usage` and the terminal event, after `release`; call it after the commit."""
        self._log.event("usage", usage)
        data = b'{"job_id":"%b","status":"%b","error":%b,"usage":%b}'
        self._log.event(state, data % (self._job.id.encode(), state.encode(), error, usage))
        self._log.result = result if self._quiet else None
        self._log.release = release
        self._write()

    def flush(self) -> None:
        """Lets what a quiet job has gathered be written, since its attempt ends without an end."""
        self._write()

    def _write(self) -> None:
        if not self._silent:
            self._publisher.wrote(self._log)
