"""Which chore runs which kind of job."""

from app.batches.model import FILES_KIND as BATCH_FILES
from app.batches.model import READ_KIND as BATCH_READING
from app.emotion.ripples import RIPPLE_KIND as EMOTION_RIPPLE
from app.lunes.model import DELETE_KIND as LUNE_DELETE
from app.lunes.model import INGEST_KIND as LUNE_INGEST
from app.memory.shelf.model import FORGET_KIND as MEMORY_FORGET
from app.memory.shelf.model import STORE_KIND as MEMORY_STORE
from app.retention.model import KIND as CONTENT_DELETION
from app.uniroute.model import DECISION_KIND as ROUTING
from workers.chores.base import Chore
from workers.chores.batch_files import WriteFiles
from workers.chores.batch_reading import ReadBatch
from workers.chores.deletion import Deletion
from workers.chores.ingest import DeleteFromLune, Ingest
from workers.chores.memory import ForgetMemories, StoreMemories
from workers.chores.ripple import SendRipple
from workers.chores.routing import Decide

CHORES: dict[str, type[Chore]] = {
    BATCH_FILES: WriteFiles,
    BATCH_READING: ReadBatch,
    CONTENT_DELETION: Deletion,
    EMOTION_RIPPLE: SendRipple,
    LUNE_DELETE: DeleteFromLune,
    LUNE_INGEST: Ingest,
    MEMORY_FORGET: ForgetMemories,
    MEMORY_STORE: StoreMemories,
    ROUTING: Decide,
}
