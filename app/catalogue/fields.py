"""Request fields that are Moonpool's own and never reach a provider."""

OURS = frozenset({
    "asked",
    "background",
    "cache_ttl",
    "cancel_on_disconnect",
    "debug",
    "emotion_style",
    "emotion_tracking",
    "extra_body",
    "fallbacks",
    "include_references",
    "include_web_chat",
    "lunes",
    "memory",
    "not_after",
    "personality_traits",
    "provider",
    "run_at",
    "session_id",
    "store",
    "webhook_url",
})  # fmt: skip
