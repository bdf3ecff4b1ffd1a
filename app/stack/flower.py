"""Flower's password: made once, kept where only the owner of the stack may read it."""

import secrets
from pathlib import Path

from app.stack.private import write_private

USER = "moonpool"


def password_path(home: Path) -> Path:
    """Where Flower's password lies, readable by the owner of the stack alone."""
    return home / "flower.password"


def password(home: Path) -> str:
    """Flower's password; makes it at the first call."""
    path = password_path(home)
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(18))
    return path.read_text().strip()
