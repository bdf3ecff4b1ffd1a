"""Which chore runs which kind of job."""

from app.batches.model import FILES_KIND as BATCH_FILES
from app.batches.model import READ_KIND as BATCH_READING
from app.emotion.ripples import RIPPLE_KIND as EMOTION_RIPPLE
from app.memory.shelf.model import FORGET_KIND as MEMORY_FORGET
from app.memory.shelf.model import STORE_KIND as MEMORY_STORE
from app.retention.model import KIND as CONTENT_DELETION
from workers.chores.base import Chore
from workers.chores.batch_files import WriteFiles
from workers.chores.batch_reading import ReadBatch
from workers.chores.deletion import Deletion
from workers.chores.memory import ForgetMemories, StoreMemories
from workers.chores.ripple import SendRipple

CHORES: dict[str, type[Chore]] = {
    BATCH_FILES: WriteFiles,
    BATCH_READING: ReadBatch,
    CONTENT_DELETION: Deletion,
    EMOTION_RIPPLE: SendRipple,
    MEMORY_FORGET: ForgetMemories,
    MEMORY_STORE: StoreMemories,
}
