"""Reading a document, in a process of its own where its form is one that can do harm."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from gevent.lock import BoundedSemaphore

from app.embedding.apart import apart
from app.lunes.extraction import child
from app.lunes.extraction.blocks import Block, Extracted, Unreadable
from app.lunes.extraction.media import Media
from app.lunes.extraction.plain import read_plain

WALL_S = 120.0
"""More than the child's CPU_S, for a machine that has other things to do."""

AT_ONCE = 2
ROOT = Path(child.__file__).resolve().parents[3]

_room = BoundedSemaphore(AT_ONCE)


def read(media: Media, content: bytes) -> Extracted:
    """The title and blocks of a document. Raises Unreadable."""
    if media.form == "text":
        return child.bounded(apart(lambda: read_plain(content.decode(media.encoding, "replace"))))
    with _room:
        done = _run(media, content)
    if "blocks" not in done:
        raise Unreadable(done["reason"], done["message"])
    blocks = [Block(*fields) for fields in done["blocks"]]
    return Extracted(done["title"], blocks, done["pages"])


def _run(media: Media, content: bytes) -> dict[str, Any]:
    """What the child says. It is told nothing of our own: no environment, no open files."""
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", child.__name__, media.form, media.encoding],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(ROOT)}, cwd="/",
    )  # fmt: skip
    try:
        told, _ = running.communicate(content, timeout=WALL_S)
    except subprocess.TimeoutExpired:
        raise Unreadable("too_slow", _TOO_MUCH) from None
    finally:
        # Also when the job is cancelled meanwhile.
        running.kill()
        running.wait()
    if running.returncode != 0:
        slow = running.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        raise Unreadable("too_slow" if slow else "unreadable", _TOO_MUCH if slow else _BROKEN)
    found: dict[str, Any] = orjson.loads(told)
    return found


_TOO_MUCH = f"The document takes more than {child.CPU_S} seconds to be read."
_BROKEN = "The document is broken in a way that ends its reader."
