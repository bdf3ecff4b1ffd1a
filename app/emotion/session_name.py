"""What a session that feels may be called: what can stand in `/v1/emotions/{session_id}`."""

import re

from app.errors import InvalidRequest

RESERVED = frozenset({"weather", "reset", "ripple", ".", ".."})
"""Names that stand for something else in an address."""

SESSION_MAX = 128
_NAME = re.compile(rf"[^\x00-\x1f\x7f/]{{1,{SESSION_MAX}}}")


def checked_session(session_id: str) -> str:
    """The name, if it is one. Raises InvalidRequest."""
    if _NAME.fullmatch(session_id) is None:
        raise InvalidRequest(
            f"session_id must have 1 to {SESSION_MAX} characters, none of them a slash or a "
            "control character.",
            param="session_id",
        )
    if session_id in RESERVED:
        raise InvalidRequest(f"session_id must not be {session_id!r}.", param="session_id")
    return session_id
