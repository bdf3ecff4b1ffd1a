"""The nightly sweep: content that is older than its tenant keeps it is deleted by a job of its own
for each tenant, so that its deletion is claimed, watched and proven as any other."""

from app.db.connect import Connection
from app.jobs.store import admit_group
from app.queue import Bell
from app.retention.model import LANE, RETENTION_KEY, deletion_draft
from app.retention.store import retention_due
from app.settings import Settings

GROUP = 64


def sweep_content(connection: Connection, settings: Settings) -> list[str]:
    """Admits a deletion job for each tenant that has something to delete; returns their ids. What
    the lane has no room for comes with the next sweep."""
    drafts = [
        deletion_draft(
            selection, tenant_id, key_id=RETENTION_KEY, app_id=RETENTION_KEY,
            backlog=settings.backlog(LANE),
        )
        for tenant_id, selection in retention_due(connection, settings.retention_days)
    ]  # fmt: skip
    admitted = []
    for start in range(0, len(drafts), GROUP):
        group = drafts[start : start + GROUP]
        verdicts = admit_group(connection, group)
        admitted += [
            draft.id
            for draft, verdict in zip(group, verdicts, strict=True)
            if verdict.startswith("admitted")
        ]
    if admitted:
        Bell(settings.redis).ring_now(LANE, admitted)
    return admitted
