"""The processes that the Procfile names. Each command becomes its process: same pid, no wrapper."""

import os
import shlex
import sys
from typing import get_args
from urllib.parse import urlsplit

import click

from app.jobs.model import Lane
from app.settings import child_environment, settings
from app.stack import flower

SPARE_GREENLETS = 64
"""Beside the job slots: the pool also runs bells that find nothing left to claim."""


@click.command(hidden=True)
@click.argument("lane", type=click.Choice(get_args(Lane)))
def worker(lane: str) -> None:
    """Run the worker of a lane (Celery with gevent)."""
    now = settings()
    if lane == "batch":
        # On a full machine lines of batches give way to whoever waits for an answer.
        os.nice(now.batch_nice)
    _become_celery(
        f"worker --pool gevent --concurrency {now.slots(lane) + SPARE_GREENLETS} --queues {lane} "
        f"--hostname {lane}-{os.getpid()}@%h --without-mingle --without-gossip --loglevel warning",
        "--task-events" if now.sends_task_events(lane) else "--without-heartbeat",
        MOONPOOL_LANE=lane,
    )


@click.command(hidden=True)
def beat() -> None:
    """Run Celery's beat: what is due at fixed times."""
    schedule = settings().home / "run" / "beat"
    schedule.parent.mkdir(parents=True, exist_ok=True)
    _become_celery("beat --loglevel warning --pidfile ''", "--schedule", str(schedule))


@click.command(hidden=True)
def upkeep() -> None:
    """Run the re-ringer and the reaper, and the dispatcher of batches."""
    from app.batches.dispatch import Dispatcher
    from app.jobs.upkeep import main

    main(Dispatcher(settings()).run)


@click.command("flower", hidden=True)
def flower_command() -> None:
    """Run Flower, on this machine only and behind a password."""
    now = settings()
    _become_celery(
        f"flower --address=127.0.0.1 --port={urlsplit(now.flower_address).port} "
        "--max-tasks=10000 --purge-offline-workers=60 --logging=error",
        # In the environment, since everyone on the machine may read a command line.
        FLOWER_BASIC_AUTH=f"{flower.USER}:{flower.password(now.home)}",
    )


def _become_celery(command: str, *more: str, **env: str) -> None:
    # Celery warns of root because of pickle; only JSON is accepted here.
    python = [sys.executable, "-W", "ignore:You're running the worker"]
    argv = [*python, "-m", "celery", "-q", "-A", "workers.main", *shlex.split(command), *more]
    os.execve(sys.executable, argv, child_environment(**env))  # noqa: S606
