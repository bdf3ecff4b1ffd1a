"""What a file is."""

from dataclasses import dataclass
from typing import Literal

UploadPurpose = Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
"""What a client may upload a file for, as OpenAI names it."""

Purpose = Literal[
    "assistants", "batch", "batch_output", "evals", "fine-tune", "user_data", "vision"
]
"""What a file is for: also what a batch ends with."""

CONVERSED: tuple[Purpose, ...] = ("batch", "batch_output")
"""Files of prompts and answers. They are kept as long as those are: `retention_days`."""

UNBOUNDED: tuple[Purpose, ...] = ("batch_output",)
"""Files that count towards a quota but are never refused for it: their tenant has paid for them."""

LINE_MAX = 20_000_000
"""Bytes of one line of a JSONL file at most."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that is whole and has not expired. `created_s` and `expires_s` are unix seconds;
    `expires_s` is None for one that stays until it is deleted. `sha256` is in hex."""

    id: str
    tenant_id: str
    purpose: Purpose
    filename: str
    bytes: int
    sha256: str
    media_type: str
    created_s: float
    expires_s: float | None
    app_id: str | None = None
    status: str = "processed"


class LineTooLong(ValueError):
    """The line number `line`, counted from 1, has more than LINE_MAX bytes."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} has more than {LINE_MAX} bytes")
        self.line = line
