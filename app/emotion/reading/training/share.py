"""Parts of a batch, each learned from by a process of its own.

All processes read the same weights. Where cores have other work too, that is much faster than to
share out each product among threads, at the end of which all wait.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch  # type: ignore[import-not-found]
from torch import multiprocessing
from torch.nn import functional as F  # type: ignore[import-not-found]

from app.emotion.reading.model import AXES
from app.emotion.reading.training import encoder
from app.emotion.reading.training.batches import Example
from app.emotion.reading.training.encoder import Params

RATED, NAMED = 0, 1
"""The tasks: three axes of a text, and its labels."""

DROPOUT = 0.1


class Worker:
    """A process that learns from parts of batches with `params`, which are moved into memory that
    is shared. `slopes` holds what it last found for each that is trained."""

    def __init__(self, params: Params, seed: int) -> None:
        self.slopes = {
            name: torch.zeros_like(values).share_memory_()
            for name, values in params.items()
            if values.requires_grad
        }
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        shared = {name: values.detach().share_memory_() for name, values in params.items()}
        self._process = spawn.Process(
            target=_serve, args=(theirs, shared, self.slopes, seed), daemon=True
        )
        self._process.start()

    def begin(self, task: int, part: Sequence[Example], texts: int) -> None:
        self._pipe.send((task, part, texts))

    def end(self) -> float:
        """Waits for the slopes of what was begun; the loss of it."""
        return float(self._pipe.recv())


def learned(
    params: Params, task: int, part: Sequence[Example], texts: int
) -> tuple[float, Sequence[Any]]:
    """The loss of a part of a batch of so many texts, and its slopes by what is trained."""
    ids, mask, targets = _tensors(part)
    with torch.autocast("cpu", torch.bfloat16):
        given = encoder.scores(params, ids, mask, DROPOUT).float()
    # Summed over what is asked of a text, so that neither task drowns the other.
    if task == RATED:
        loss = F.mse_loss(given[:, : len(AXES)], targets, reduction="sum") / texts
    else:
        odds = given[:, len(AXES) :]
        loss = F.binary_cross_entropy_with_logits(odds, targets, reduction="sum") / texts
    trained = [values for values in params.values() if values.requires_grad]
    return float(loss.detach()), torch.autograd.grad(loss, trained)


def _serve(pipe: Any, shared: Params, slopes: Params, seed: int) -> None:
    # Linux may share out its cores by sessions first.
    os.setsid()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    params = {name: values.requires_grad_(name in slopes) for name, values in shared.items()}
    while (task := _received(pipe)) is not None:
        loss, found = learned(params, *task)
        for values, fresh in zip(slopes.values(), found, strict=True):
            values.copy_(fresh)
        pipe.send(loss)


def _received(pipe: Any) -> Any:
    """What comes next; None, when nothing will."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def _tensors(batch: Sequence[Example]) -> tuple[Any, Any, Any]:
    """Tokens filled up with zeros, which of them count, and the targets."""
    longest = max(len(example.tokens) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    for row, example in enumerate(batch):
        ids[row, : len(example.tokens)] = torch.tensor(example.tokens)
    lengths = torch.tensor([len(example.tokens) for example in batch])
    mask = torch.arange(longest) < lengths[:, None]
    return ids, mask, torch.tensor([example.targets for example in batch])
