"""Which chore runs which kind of job."""

from app.emotion.ripples import RIPPLE_KIND as EMOTION_RIPPLE
from app.memory.shelf.model import FORGET_KIND as MEMORY_FORGET
from app.memory.shelf.model import STORE_KIND as MEMORY_STORE
from app.retention.model import KIND as CONTENT_DELETION
from workers.chores.base import Chore
from workers.chores.deletion import Deletion
from workers.chores.memory import ForgetMemories, StoreMemories
from workers.chores.ripple import SendRipple

CHORES: dict[str, type[Chore]] = {
    CONTENT_DELETION: Deletion,
    EMOTION_RIPPLE: SendRipple,
    MEMORY_FORGET: ForgetMemories,
    MEMORY_STORE: StoreMemories,
}
