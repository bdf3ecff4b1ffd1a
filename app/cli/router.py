"""`moonpool router`."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click

from app.cli import options
from app.cli.router_profiles import (
    activate_command,
    learn_command,
    profiles_command,
    push_command,
    rollback_command,
    shadow_command,
)
from app.cli.show import show_json, show_table
from app.embedding.minilm import embedder
from app.errors import InvalidRequest
from app.settings import settings
from app.uniroute.evaluate import Scoring, learned_on_halves, of_profile
from app.uniroute.fit import fit
from app.uniroute.plot import pareto_svg
from app.uniroute.profile import Profile, read_profile, with_model, write_profile
from app.uniroute.prompts import TOKENS, Prompts, read_prompts
from app.uniroute.published import published_profile
from app.uniroute.scored import costs_of, read_prices, read_scored

if TYPE_CHECKING:
    from app.uniroute.scored import Scored

HALVES = 4
"""Prompts that can be halved so that each half can be learned from and scored."""

file = click.Path(dir_okay=False, path_type=Path)
data = click.option("--data", type=file, required=True, help="Scored prompts, JSON.")
prices = click.option("--prices", type=file, help="Prices of models, JSON; without: all alike.")


@click.group()
def router() -> None:
    """Learn, score, extend and activate the profiles by which the router chooses models.

    \b
    Examples:
      moonpool router fit --data scored.json --prices prices.json --out profile.json
      moonpool router eval --data scored.json --prices prices.json --seeds 8
      moonpool router eval --data test.json --profile profile.json --json
      moonpool router add-model --profile profile.json --data few.json --model new-model
      moonpool router import --data published.json --out profile.json
      moonpool router push profile.json
      moonpool router activate 8163b8cad6580a92
    """


@router.command("fit")
@data
@prices
@click.option("--out", type=file, required=True, help="Where the profile goes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@options.as_json
@options.data_dir
def fit_command(data: Path, prices: Path | None, out: Path, seed: int, as_json: bool) -> None:
    """Learn a profile from scored prompts; cross-validation chooses its clusters and smoothing.

    Exit codes: 0 written, 1 a file is not as it must be (entry and field are named).
    """
    scored = read_scored(data)
    table = read_prices(prices) if prices else None
    usd = costs_of(scored.models, table, str(prices))
    origin = {
        "source": f"{data.name}, SHA-256 {_checksum(data)}",
        "made by": "moonpool router fit",
        "prompts": str(len(scored.texts)),
        "prices": f"{prices.name}, SHA-256 {_checksum(prices)}" if prices else "none: all cost 1",
    }
    profile = fit(_prompts(scored, TOKENS), scored, usd, seed=seed, origin=origin)
    write_profile(profile, out)
    _show(profile, out, as_json)


@router.command("eval")
@data
@prices
@click.option("--profile", "profile_file", type=file, help="Score this one, and learn nothing.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=8, show_default=True)
@click.option("--plot", type=file, help="Draws quality against cost of the first run, SVG.")
@options.as_json
@options.data_dir
def eval_command(
    data: Path,
    prices: Path | None,
    profile_file: Path | None,
    seeds: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Score a router on scored prompts: for each seed it learns on one half and is scored on the
    other; or a profile, on all of them and on random halves. docs/router.md defines the figures.

    Exit codes: 0 scored, 1 a file is not as it must be (entry and field are named).
    """
    table = read_prices(prices) if prices else None
    if profile_file is None:
        scored = read_scored(data)
        _enough(data, scored)
        usd = costs_of(scored.models, table, str(prices))
        runs = learned_on_halves(_prompts(scored, TOKENS), scored, usd, seeds)
    else:
        profile = read_profile(profile_file)
        scored = read_scored(data, profile.models)
        _enough(data, scored)
        usd = costs_of(scored.models, table, str(prices)) if table else profile.usd
        runs = of_profile(profile, _prompts(scored, profile.tokens), scored, usd, seeds)
    if plot is not None:
        _write(plot, pareto_svg(runs[0].drawing))
    if as_json:
        show_json({"models": scored.models, "runs": [_told(run) for run in runs]})
    else:
        show_table(HEADS, [_cells(run) for run in runs] + _means(runs))


@router.command("add-model")
@click.option("--profile", "profile_file", type=file, required=True, help="The profile to extend.")
@data
@prices
@click.option("--model", required=True, help="The new model's name in the data.")
@click.option("--out", type=file, help="Where the new profile goes; without: over the old one.")
@options.as_json
@options.data_dir
def add_model_command(
    profile_file: Path,
    data: Path,
    prices: Path | None,
    model: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Add a model to a profile from a few scored prompts. The others stay as they are.

    Exit codes: 0 written, 1 a file is not as it must be, or the model is in the profile already.
    """
    profile = read_profile(profile_file)
    scored = read_scored(data, [model])
    table = read_prices(prices) if prices else None
    if table is None and len(set(profile.usd.tolist())) > 1:
        raise InvalidRequest(f"--prices must tell what {model} costs", param="prices")
    usd = float(costs_of([model], table, str(prices))[0]) if table else float(profile.usd[0])
    points = _prompts(scored, profile.tokens).points(profile.length_weight)
    source = f"{len(scored.texts)} prompts of {data.name}, SHA-256 {_checksum(data)}"
    wider = with_model(profile, model, points, scored.wrong[:, 0], usd, source)
    write_profile(wider, out or profile_file)
    _show(wider, out or profile_file, as_json)


@router.command("import")
@click.option("--data", type=file, required=True, help="Published errors of models, JSON.")
@click.option("--out", type=file, required=True, help="Where the profile goes.")
@options.as_json
def import_command(data: Path, out: Path, as_json: bool) -> None:
    """Make a profile of centroids and errors that others published, without their prompts.

    Exit codes: 0 written, 1 a file is not as it must be (the field is named).
    """
    profile = published_profile(data)
    write_profile(profile, out)
    _show(profile, out, as_json)


for command in (
    push_command,
    activate_command,
    rollback_command,
    profiles_command,
    learn_command,
    shadow_command,
):
    router.add_command(command)


def _prompts(scored: "Scored", tokens: int) -> Prompts:
    return read_prompts(embedder(settings()), scored.texts, tokens)


def _enough(data: Path, scored: "Scored") -> None:
    if len(scored.texts) < HALVES:
        raise InvalidRequest(f"{data}: has fewer than {HALVES} prompts", param=str(data))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param=str(path)) from error


def _told(run: Scoring) -> dict[str, object]:
    names = ("seed", "prompts", "clusters")
    return {name: getattr(run, name) for name in names} | {"figures": asdict(run.figures)}


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _show(profile: Profile, out: Path, as_json: bool) -> None:
    told = {
        "version": profile.version,
        "models": len(profile.models),
        "clusters": len(profile.centres),
        "temperature": profile.temperature,
        "shrinkage": profile.shrinkage,
        "length_weight": profile.length_weight,
    }
    if as_json:
        show_json({"file": str(out), **told})
    else:
        click.echo(f"{out}: " + ", ".join(f"{name} {value}" for name, value in told.items()))


HEADS = (
    "seed", "prompts", "clusters", "Area", "no router", "Area from 0", "QNC %", "peak",
    "best single", "random", "oracle",
)  # fmt: skip


def _cells(run: Scoring) -> Sequence[object]:
    one = run.figures
    numbers = (one.area, one.no_router, one.area_from_zero)
    rest = (one.peak, one.best_single, one.random, one.oracle)
    return (
        "all" if run.seed is None else run.seed, run.prompts, run.clusters,
        *(f"{value:.4f}" for value in numbers), "-" if one.qnc is None else f"{one.qnc:.1f}",
        *(f"{value:.4f}" for value in rest),
    )  # fmt: skip


def _means(runs: Sequence[Scoring]) -> list[Sequence[object]]:
    """The row of means over the seeds; of QNC only if every seed has one."""
    seeded = [run for run in runs if run.seed is not None]
    found = [run.figures for run in seeded]
    qnc = [one.qnc for one in found if one.qnc is not None]
    names = ("area", "no_router", "area_from_zero", "peak", "best_single", "random", "oracle")
    mean = {name: f"{fmean(getattr(one, name) for one in found):.4f}" for name in names}
    shown = f"{fmean(qnc):.1f}" if len(qnc) == len(found) else "-"
    first, rest = list(mean.values())[:3], list(mean.values())[3:]
    return [("mean", "", "", *first, shown, *rest)]
