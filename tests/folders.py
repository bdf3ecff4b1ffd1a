"""Where tests put their data."""

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
ENOUGH = 3_000_000_000


def new_folder() -> Path:
    """A new folder with a path short enough for sockets, in memory where there is room: a database
    has 500 files, and to make one for each test on a disk takes most of a suite's time."""
    roomy = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ENOUGH
    return Path(tempfile.mkdtemp(prefix="moon-", dir=IN_MEMORY if roomy else "/tmp"))
