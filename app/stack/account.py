"""The user that Postgres runs as, since it refuses to run as root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from app.stack.failure import StackError


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def postgres_account() -> Account | None:
    """Who Postgres runs as: None means the current user, as long as that is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError(
        "Postgres does not run as root, and there is neither a user postgres nor a user nobody. "
        "Run moonpool as another user, or add one: useradd --system postgres"
    )


def _may_enter(folder: os.stat_result, account: Account) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def let_through(path: Path, account: Account) -> list[Path]:
    """Makes every folder above `path` passable for `account`; returns those that were changed.

    Only the right to pass (o+x) is given, only where it lacks; nobody can list the folder by it.
    """
    changed = []
    for folder in sorted({*path.absolute().parents, *path.resolve().parents}):
        found = folder.stat()
        if not _may_enter(found, account):
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
            changed.append(folder)
    return changed


def make_private(path: Path, account: Account | None) -> None:
    """Makes a folder that only `account` (and root) may enter. Raises StackError if the folder is
    there and belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = account.uid if account else os.geteuid()
    found = path.stat()
    if found.st_uid not in {owner, os.geteuid()} or path.is_symlink():
        raise StackError(f"{path} belongs to another user; remove it, or set MOONPOOL_DATA_DIR")
    if account is not None:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)
