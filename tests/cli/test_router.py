"""`moonpool router` on small files: what is written, printed and refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main
from app.settings import settings
from app.uniroute.profile import read_profile
from tests.conftest import short_folder

CODE = "Write a Python function that sorts {n} numbers."
VERSE = "Write a poem about {n} nights under the moon."
PRICES = {
    name: {"input_price": price, "output_price": price * 3}
    for name, price in (("cheap", 1), ("coder", 10), ("poet", 8), ("late", 5))
}
COLUMNS = ["Area", "no router", "QNC %", "peak", "best single", "random", "oracle"]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory in which the model of embeddings is built once."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MOONPOOL_DATA_DIR", str(home))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    entries: list[dict[str, Any]] = [
        {"question": text.format(n=n), "scores": {"cheap": float(n % 2), **scores}}
        for n in range(80)
        for text, scores in ((CODE, {"coder": 1, "poet": 0}), (VERSE, {"coder": 0, "poet": 1}))
    ]
    Path("data.json").write_text(json.dumps(entries))
    late = [{**entry, "scores": {"late": entry["scores"]["poet"]}} for entry in entries[:30]]
    Path("late.json").write_text(json.dumps(late))
    Path("prices.json").write_text(json.dumps(PRICES))
    yield
    settings.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["router", *args])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


def told(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    code, out, err = run(capsys, *args, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


PRICED = ("--prices", "prices.json")
FIT = ("fit", "--data", "data.json", *PRICED, "--out", "profile.json")


@pytest.mark.parametrize("name", ["", "fit", "eval", "add-model", "import"])
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, *[word for word in (name,) if word], "--help")
    assert code == 0
    assert out.startswith(f"Usage: moonpool router {name}".rstrip())
    assert ("Exit codes:" in out) == bool(name)


def test_what_is_fitted_scores_above_no_router(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = told(capsys, *FIT)
    assert fitted["clusters"] >= 2
    profile = read_profile(Path("profile.json"))
    assert profile.version == fitted["version"]
    assert "data.json, SHA-256 " in profile.origin["source"]
    runs = told(capsys, "eval", "--data", "data.json", "--profile", "profile.json")["runs"]
    assert [one["seed"] for one in runs] == [None, *range(8)]
    assert runs[0]["prompts"] == 160
    figures = runs[0]["figures"]
    assert figures["area"] > figures["no_router"] + 0.1
    assert figures["peak"] > figures["best_single"] + 0.3
    assert figures["oracle"] == 1.0


def test_eval_learns_on_one_half_and_scores_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    call = ("eval", "--data", "data.json", *PRICED, "--seeds", "2")
    first, again = (told(capsys, *call) for _ in range(2))
    assert first == again
    assert [one["prompts"] for one in first["runs"]] == [80, 80]
    for one in first["runs"]:
        assert one["figures"]["area"] > one["figures"]["no_router"]


def test_eval_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *FIT)
    call = ("eval", "--data", "data.json", "--profile", "profile.json", "--seeds", "2")
    code, out, _ = run(capsys, *call)
    head, *rows = out.splitlines()
    assert code == 0
    assert [name for name in COLUMNS if name not in head] == []
    assert [row.split()[0] for row in rows] == ["all", "0", "1", "mean"]


def test_a_model_is_added_from_a_few_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *FIT)
    before = read_profile(Path("profile.json"))
    call = ("add-model", "--profile", "profile.json", "--data", "late.json", "--model", "late")
    assert told(capsys, *call, *PRICED, "--out", "wider.json")["models"] == 4
    assert read_profile(Path("profile.json")).version == before.version
    wider = read_profile(Path("wider.json"))
    assert wider.models == ("cheap", "coder", "late", "poet")
    assert wider.usd.tolist() == [2.0, 20.0, 10.0, 16.0]
    late, poet = (wider.error_vectors[:, wider.models.index(name)] for name in ("late", "poet"))
    assert abs(late - poet).max() < 0.3
    assert told(capsys, *call, *PRICED)["models"] == 4
    assert read_profile(Path("profile.json")).version == wider.version


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("fit", "--data", "none.json", "--out", "x"), "none.json: No such file"),
        (("fit", "--data", "prices.json", "--out", "x"), "prices.json: must be a list"),
        (("fit", "--data", "data.json", "--out", "no/x"), "no/x: No such file"),
        (
            ("fit", "--data", "data.json", "--prices", "data.json", "--out", "x"),
            "data.json: must be an object of models",
        ),
        (
            ("eval", "--data", "late.json", "--profile", "profile.json"),
            "late.json: [0].scores.cheap is missing",
        ),
        (
            ("add-model", "--profile", "profile.json", "--data", "late.json", "--model", "late"),
            "--prices must tell what late costs",
        ),
        (
            ("add-model", "--profile", "profile.json", "--data", "data.json", "--model", "poet",
             *PRICED),
            "poet is in the profile already",
        ),
        (
            ("add-model", "--profile", "profile.json", "--data", "late.json", "--model", "x"),
            "late.json: [0].scores.x is missing",
        ),
        (("import", "--data", "prices.json", "--out", "x"), "prices.json: source Field required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], said: str
) -> None:
    run(capsys, *FIT)
    version = read_profile(Path("profile.json")).version
    code, out, err = run(capsys, *args)
    assert (code, out) == (1, "")
    assert err.startswith(f"moonpool: {said}")
    assert not Path("x").exists()
    assert read_profile(Path("profile.json")).version == version


def test_too_few_prompts_to_halve_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("few.json").write_text(json.dumps([{"question": "a", "scores": {"x": 1}}]))
    code, _, err = run(capsys, "eval", "--data", "few.json")
    assert (code, err) == (1, "moonpool: few.json: has fewer than 4 prompts\n")
