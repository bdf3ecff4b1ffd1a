"""Every room of the HTTP door and its description, by the name of the blueprint."""

from app.web.openapi.batches import BATCHES
from app.web.openapi.dialects import MESSAGES, RESPONSES
from app.web.openapi.emotions import EMOTIONS
from app.web.openapi.evolution import EVOLUTION, FEEDBACK, ROLLBACK
from app.web.openapi.files import FILES
from app.web.openapi.inference import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    PICTURES,
    PROVIDERS,
    TRANSCRIPTIONS,
)
from app.web.openapi.jobs import JOBS, MODELS, PUBLIC, RETRIES
from app.web.openapi.manage import (
    DATA,
    KEYS,
    PROVIDER_KEYS,
    REPLAYS,
    SESSION,
    SESSIONS,
    WEBHOOKS,
)
from app.web.openapi.memory import MEMORY
from app.web.openapi.money import BILLING, BUDGETS, USAGE
from app.web.openapi.operation import Room
from app.web.openapi.operator import ADMIN, ADMIN_MONEY, DESCRIPTION, OPERATIONS

ROOMS: dict[str, Room] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "embeddings": EMBEDDINGS,
    "images": IMAGES,
    "pictures": PICTURES,
    "transcriptions": TRANSCRIPTIONS,
    "jobs": JOBS,
    "retries": RETRIES,
    "models": MODELS,
    "providers": PROVIDERS,
    "public": PUBLIC,
    "emotions": EMOTIONS,
    "billing": BILLING,
    "usage": USAGE,
    "budgets": BUDGETS,
    "keys": KEYS,
    "provider_keys": PROVIDER_KEYS,
    "data": DATA,
    "files": FILES,
    "batches": BATCHES,
    "memory": MEMORY,
    "feedback": FEEDBACK,
    "evolution": EVOLUTION,
    "rollback": ROLLBACK,
    "webhooks": WEBHOOKS,
    "replays": REPLAYS,
    "session": SESSION,
    "sessions": SESSIONS,
    "admin": ADMIN,
    "admin_money": ADMIN_MONEY,
    "operations": OPERATIONS,
    "description": DESCRIPTION,
}
