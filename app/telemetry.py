"""Structured logs, one line an event, JSON unless a person looks at a terminal.

An allow-list keeps prompts, keys and provider bodies out: only the fields named here are written.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

FIELDS = frozenset({
    "asked",
    "asked_cost",
    "asked_error",
    "attempt",
    "chosen",
    "chosen_cost",
    "chosen_error",
    "code",
    "count",
    "error",
    "event",
    "exception",
    "job_id",
    "key_id",
    "kind",
    "lane",
    "level",
    "model",
    "name",
    "path",
    "port",
    "provider",
    "reason",
    "room",
    "seconds",
    "signal",
    "state",
    "status",
    "stopped",
    "tenant_id",
    "timestamp",
    "url",
    "worker",
})  # fmt: skip


def _allow(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in FIELDS}


def configure_logs(level: str) -> None:
    """Sets up structlog for this process; `level` is debug, info, warning or error."""
    tty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            _allow,
            structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log(name: str) -> Any:
    """A logger whose lines carry the name of their `room`."""
    return structlog.get_logger().bind(room=name)
