"""Secrets that must be read again, such as those that sign webhooks, encrypted at rest.

Fernet (https://github.com/fernet/spec/blob/master/Spec.md) under one key or several: the first
encrypts and all decrypt, so that a new one is put in front and the old one struck off later.
"""

import os
import tempfile
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.settings import Settings, listed, secret

KEYS = "MOONPOOL_ENCRYPTION_KEYS"
"""The variable with the keys, commas between. Without it: the file `encryption.key` in the data
directory, which all processes that share secrets must then share."""


class VaultError(Exception):
    """There is no key, or none that fits."""


class Vault:
    """Seals and opens. Nothing is read or made before the first use."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.home / "encryption.key"

    def seal(self, content: bytes) -> str:
        """`content`, encrypted and authenticated, as text. Makes the key file if there is no key.
        Raises VaultError."""
        if not secret(KEYS):
            _make_key(self._file)
        return self._keys.encrypt(content).decode()

    def open(self, sealed: str) -> bytes:
        """What was sealed. Raises VaultError."""
        try:
            return self._keys.decrypt(sealed)
        except InvalidToken:
            raise VaultError("none of the encryption keys opens this secret") from None

    @cached_property
    def _keys(self) -> MultiFernet:
        try:
            keys = listed(secret(KEYS)) or (self._file.read_text().strip(),)
            return MultiFernet([Fernet(key) for key in keys])
        except OSError as error:
            raise VaultError(f"{KEYS} is not set and {self._file} cannot be read") from error
        except ValueError:
            raise VaultError(f"{KEYS} or {self._file} holds what is no Fernet key") from None


def _make_key(path: Path) -> None:
    """Makes a key file that only its owner may read, unless there is one. Of two processes that do
    so at once, both see the whole file of the first."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(fresh)
