"""Which chore runs which kind of job."""

from app.retention.model import KIND as CONTENT_DELETION
from workers.chores.base import Chore
from workers.chores.deletion import Deletion

CHORES: dict[str, type[Chore]] = {CONTENT_DELETION: Deletion}
