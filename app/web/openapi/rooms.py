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
    ROUTER,
    TRANSCRIPTIONS,
)
from app.web.openapi.jobs import JOBS, MODELS, PUBLIC, RETRIES
from app.web.openapi.lune_search import LUNE_SEARCH
from app.web.openapi.lunes import LUNE_DOCUMENTS, LUNES
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
from app.web.openapi.operator import ADMIN, ADMIN_MONEY, CONSOLE, DESCRIPTION, OPERATIONS
from app.web.openapi.web_chat import ASSETS, WEB_CHAT_PAGE, WEB_CHATS

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
    "router": ROUTER,
    "public": PUBLIC,
    "emotions": EMOTIONS,
    "billing": BILLING,
    "usage": USAGE,
    "budgets": BUDGETS,
    "keys": KEYS,
    "provider_keys": PROVIDER_KEYS,
    "data": DATA,
    "lunes": LUNES,
    "lune_documents": LUNE_DOCUMENTS,
    "lune_search": LUNE_SEARCH,
    "files": FILES,
    "batches": BATCHES,
    "memory": MEMORY,
    "feedback": FEEDBACK,
    "evolution": EVOLUTION,
    "rollback": ROLLBACK,
    "web_chats": WEB_CHATS,
    "web_chat_page": WEB_CHAT_PAGE,
    "webhooks": WEBHOOKS,
    "replays": REPLAYS,
    "session": SESSION,
    "sessions": SESSIONS,
    "admin": ADMIN,
    "admin_money": ADMIN_MONEY,
    "operations": OPERATIONS,
    "console": CONSOLE,
    "assets": ASSETS,
    "description": DESCRIPTION,
}
