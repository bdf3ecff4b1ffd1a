"""Trains all-MiniLM-L6-v2 further on EmoBank and GoEmotions. Needs torch; docs/emotion-models.md
says how.

    python -m app.emotion.reading.train --data ../shared/data --out /tmp/feeling

One network learns both: batches of either take turns, those of EmoBank on the squared error of the
three axes in units of their spread, those of GoEmotions on the cross-entropy of each label. The
table of words stays as it is. What is kept at the end of each pass is the moving average of the
weights (Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging).
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch  # type: ignore[import-not-found]

from app.embedding.minilm import Embedder
from app.embedding.weights import packed
from app.emotion.reading import datasets
from app.emotion.reading.model import AXES, LABELS
from app.emotion.reading.reader import first_tokens
from app.emotion.reading.shipped import HEAD
from app.emotion.reading.training import encoder
from app.emotion.reading.training.batches import Example, batches, mixed
from app.emotion.reading.training.share import NAMED, RATED, Worker, learned

SEED = 7
SIZES = (24, 32)
"""Texts in a batch of EmoBank and of GoEmotions."""

RATE, HEAD_RATE, DECAY = 1e-4, 1e-3, 0.01
WARM = 0.06
"""The share of the whole in which the rate rises; it falls to 0 in the rest."""

TOKENS_MAX = 64
"""Tokens of a text that are learned from: there is time for more than when one is read."""

NORM_MAX = 1.0
AVERAGED, AVERAGED_EACH = 0.98, 10
"""How much of the average stays, and after how many steps the weights go into it again."""

TELL = 50


@dataclass(frozen=True, slots=True)
class Material:
    """What is learned: examples of both tasks, those of EmoBank in units of the axes' `spread`
    around their `mean`."""

    rated: list[Example]
    named: list[Example]
    mean: Any
    spread: Any


def material(data: Path, network: Embedder) -> Material:
    """The training splits in the folder `data`. Raises UnknownForm and OSError."""
    rated = datasets.emobank(data / "emobank_train_dev.csv", "train")
    named = datasets.goemotions(data / "goemotions_train.tsv")
    axes = torch.tensor([row.axes for row in rated])
    mean, spread = axes.mean(dim=0), axes.std(dim=0)
    wanted = ((axes - mean) / spread).tolist()
    tokens = first_tokens(network, [row.text for row in rated], TOKENS_MAX)
    others = first_tokens(network, [row.text for row in named], TOKENS_MAX)
    of_named = zip(others, named, strict=True)
    return Material(
        [Example(ids, targets) for ids, targets in zip(tokens, wanted, strict=True)],
        [Example(ids, [float(name in row.labels) for name in LABELS]) for ids, row in of_named],
        mean,
        spread,
    )


class Training:
    """The weights, their average and the optimiser; a batch is shared with `workers` processes."""

    def __init__(self, known: Material, workers: int) -> None:
        torch.set_num_threads(1)
        self._known = known
        self._params = encoder.loaded()
        shares = torch.tensor([example.targets for example in known.named]).mean(dim=0)
        with torch.no_grad():
            self._params[f"{HEAD}bias"][len(AXES) :] = torch.logit(shares)
        self._workers = [Worker(self._params, SEED + 1 + number) for number in range(workers)]
        self._trained = {name: p for name, p in self._params.items() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._trained.items()}
        self._optimiser = torch.optim.AdamW(_groups(self._trained), fused=True)
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self._steps = 0

    def step(self, task: int, batch: Sequence[Example], done: float) -> float:
        """Learns from one batch when a share `done` of the whole is; its loss before that."""
        parts = [batch[first :: len(self._workers) + 1] for first in range(len(self._workers) + 1)]
        busy = [
            (worker, part) for worker, part in zip(self._workers, parts[1:], strict=True) if part
        ]
        for worker, part in busy:
            worker.begin(task, part, len(batch))
        loss, slopes = learned(self._params, task, parts[0], len(batch))
        for values, slope in zip(self._trained.values(), slopes, strict=True):
            values.grad = slope
        for worker, _ in busy:
            loss += worker.end()
            for name, values in self._trained.items():
                values.grad += worker.slopes[name]
        torch.nn.utils.clip_grad_norm_(self._trained.values(), NORM_MAX)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * min(done / WARM, (1 - done) / (1 - WARM))
        self._optimiser.step()
        self._steps += 1
        if self._steps % AVERAGED_EACH == 0:
            self._take_average(self._steps // AVERAGED_EACH)
        return loss

    def _take_average(self, rounds: int) -> None:
        # At first the average is of few, and not of what training began with.
        kept = min(AVERAGED, rounds / (rounds + 10))
        for name, values in self._average.items():
            values.lerp_(self._trained[name].detach(), 1 - kept)

    def file(self) -> bytes:
        """The averaged weights, with axes on their own scale, as a safetensors file."""
        found = {name: values.clone() for name, values in self._average.items()}
        weight, bias = found[f"{HEAD}weight"], found[f"{HEAD}bias"]
        axes, mean, spread = len(AXES), self._known.mean, self._known.spread
        weight[:axes] = weight[:axes] * spread[:, None]
        bias[:axes] = bias[:axes] * spread + mean
        return packed({name: values.numpy() for name, values in found.items()})


def _groups(trained: dict[str, Any]) -> list[dict[str, Any]]:
    """The head learns faster, being fresh; vectors, which are offsets and scales, do not decay."""
    head = [values for name, values in trained.items() if name.startswith(HEAD)]
    body = [values for name, values in trained.items() if not name.startswith(HEAD)]
    return [
        {"params": head, "lr": HEAD_RATE, "weight_decay": 0.0},
        {"params": [p for p in body if p.ndim > 1], "lr": RATE, "weight_decay": DECAY},
        {"params": [p for p in body if p.ndim == 1], "lr": RATE, "weight_decay": 0.0},
    ]


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of checkpoints."
)
@click.option("--passes", default=4, show_default=True, help="Passes through the data.")
@click.option("--minutes", default=math.inf, help="End after so many, with what was learned.")
@click.option("--processes", default=2, show_default=True)
def main(data: Path, out: Path, passes: int, minutes: float, processes: int) -> None:
    """Write `pass-N.safetensors` into OUT after each pass, and at the end."""
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    chance, known = random.Random(SEED), material(data, Embedder(out))  # noqa: S311
    tasks = (known.rated, known.named)
    steps = passes * sum(math.ceil(len(t) / s) for t, s in zip(tasks, SIZES, strict=True))
    training, losses, step, begun = Training(known, processes - 1), [0.0, 0.0], 0, time.monotonic()
    for number in range(1, passes + 1):
        rows = [batches(some, size, chance) for some, size in zip(tasks, SIZES, strict=True)]
        for task, batch in mixed(rows, chance):
            spent = (time.monotonic() - begun) / 60
            done = max(step / steps, spent / minutes)
            if done >= 1:
                break
            step += 1
            losses[task] += 0.02 * (training.step(task, batch, done) - losses[task])
            if step % TELL == 0:
                click.echo(
                    f"pass {number}, step {step}, {spent:.1f} min, {done:.1%} done, loss of axes "
                    f"{losses[RATED]:.3f}, of labels {losses[NAMED]:.3f}"
                )
        (out / f"pass-{number}.safetensors").write_bytes(training.file())
        click.echo(f"pass {number} is kept after {step} steps")
        if done >= 1:
            break


if __name__ == "__main__":
    main()
