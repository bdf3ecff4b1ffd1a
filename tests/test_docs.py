"""What the pages say is so: links, names, numbers, tables and diagrams, each against the code.

That their examples work is in `test_examples.py`.
"""

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from app import errors
from app.catalogue.load import catalogue
from app.catalogue.model import CatalogueFile, ModelSpec, Price, ProviderSpec, Route
from app.cli.main import cli
from app.errors import MoonpoolError
from app.files.storage.s3 import KEY_ID, SECRET
from app.jobs.model import TRANSITIONS
from app.main import create_app
from app.settings import Settings
from app.vault import KEYS
from tests.markdown import PAGES, ROOT, anchors, code, fences, links, page, prose, table
from workers.providers.builtin.sim_settings import SimSettings

VARIABLES = {f"MOONPOOL_{name.upper()}": field for name, field in Settings.model_fields.items()}
SECRETS = {KEYS, KEY_ID, SECRET}
# One process reads and parses the sources.
pytestmark = pytest.mark.xdist_group("source")
each_page = pytest.mark.parametrize("at", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@each_page
def test_links_lead_to_files_and_headings_that_are_there(at: Path) -> None:
    for link in links(at.read_text()):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (at.parent / place).resolve() if place else at
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@each_page
def test_settings_that_are_named_exist(at: Path) -> None:
    named = set(re.findall(r"\bMOONPOOL_[A-Z_]+[A-Z]\b", at.read_text()))
    assert named <= set(VARIABLES) | SECRETS


@cache
def constants() -> dict[str, list[Any]]:
    """Numbers that modules name in capitals."""
    found: dict[str, list[Any]] = {}
    for folder in ("app", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                    found.setdefault(ast.unparse(node.targets[0]), []).append(node.value.value)
    return found


@each_page
def test_numbers_that_are_told_are_those_of_the_code(at: Path) -> None:
    """A number in brackets behind a setting or a constant: `MAX_STRIKES` (3)."""
    text = prose(at.read_text()).replace("\n", " ")
    known = constants()
    for name, value in re.findall(r"`([A-Z][A-Z0-9_]+)` \(([0-9.]+)\)", text):
        is_so = [VARIABLES[name].default] if name in VARIABLES else known.get(name, [])
        assert [float(number) for number in is_so] == [float(value)], name


def command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words of a command line lead to, and what is left of them."""
    found: click.Command = cli
    rest = list(words)
    while isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        below = found.get_command(click.Context(found), rest[0])
        assert below is not None, words
        found, rest = below, rest[1:]
    return found, rest


@each_page
def test_commands_that_are_named_exist(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.options.override", lambda **_: None)
    text = at.read_text()
    for line in code(text):
        if re.match(r"(\.venv/bin/)?moonpool ", line):
            command(line.partition(">")[0].split()[1:])
    for block in fences(text, "sh"):
        for call in re.findall(r"(?:^|[( ])moonpool ([^)|>\n]+)", block.text, re.M):
            found, rest = command(shlex.split(call))
            if not isinstance(found, click.Group):
                found.make_context(str(found.name), rest)


@each_page
def test_make_targets_that_are_named_exist(at: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", page("Makefile"), re.M))
    text = at.read_text()
    named = [line for line in code(text) if line.startswith("make ")]
    named += [line for b in fences(text, "sh") for line in b.text.split("\n") if "make " in line]
    for line in named:
        assert line.split()[1] in targets, line


def test_the_state_diagram_is_the_table_of_transitions() -> None:
    [diagram] = [f for f in fences(page("docs/architecture.md"), "mermaid") if "state" in f.text]
    drawn: dict[str, set[str]] = {state: set() for state in TRANSITIONS}
    for start, end in re.findall(r"^ +(\S+) --> (\w+|\[\*\])", diagram.text, re.M):
        drawn.setdefault(start, set()).add(end)
    assert drawn.pop("[*]") == {"queued", "scheduled"}
    ends = {state: {"[*]"} if not after else set(after) for state, after in TRANSITIONS.items()}
    assert drawn == ends


def test_the_tree_of_rooms_is_complete() -> None:
    [tree] = [f for f in fences(page("docs/architecture.md"), "text") if "tasks/" in f.text]
    drawn: set[str] = set()
    above: list[str] = []
    for line in tree.text.rstrip().split("\n"):
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0].rstrip("/")]
        drawn.add("/".join(above))
    assert {path for path in drawn if not (ROOT / path).exists()} == set()
    rooms = {
        str(path.relative_to(ROOT))
        for top in ("app", "workers", "tasks")
        for path in [(ROOT / top), *(ROOT / top).glob("*.py"), *(ROOT / top).rglob("*/")]
        if path.name != "__init__.py" and (path.suffix or any(path.glob("*.py")))
    }
    assert rooms - drawn == set()


def test_the_table_of_paths_is_the_url_map() -> None:
    head = "method and path"
    groups = re.split(r"^(?=#)", page("docs/api.md"), flags=re.M)
    told = {
        (method, path)
        for group in groups
        if f"| {head} |" in group
        for cell, *_ in table(group, head)
        for method in re.findall(r"[A-Z]{3,}", cell.partition("`")[0])
        for path in re.findall(r"`([^`]+)`", cell)
    }
    web = create_app(Settings(ollama_url=""))
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in web.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    }
    assert told == served


def test_the_table_of_errors_has_every_error() -> None:
    rows = table(page("docs/api.md"), "status")
    told = {status: (kind.strip("`"), codes) for status, kind, codes, _ in rows}
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)]
    assert set(told) == {str(kind.status) for kind in kinds if issubclass(kind, MoonpoolError)}
    for kind in kinds:
        assert issubclass(kind, MoonpoolError)
        named, codes = told[str(kind.status)]
        assert named == kind.type
        assert (f"`{kind.code}`" if kind.code else "none") in codes


def test_the_catalogue_of_the_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example, machines = fences(page("docs/catalogue.md"), "yaml")
    path = tmp_path / "catalogue.yaml"
    path.write_text(example.text)
    own = Settings(catalogue=path, ollama_url="")
    without_key = catalogue(own)
    monkeypatch.setenv("NEBIUS_API_KEY", "secret")
    loaded = catalogue(own)
    assert without_key.models["house"].routes == loaded.models["house"].routes[:1]
    assert loaded.default == "house"
    assert loaded.models["pirate"].stands_on == "house"
    assert loaded.find("gpt-4") == loaded.models["house"]
    path.write_text(machines.text)
    loaded = catalogue(own)
    assert loaded.defaults["transcription"] == "whisper"
    assert {"qwen", "bge-m3", "whisper"} <= set(loaded.models)


def test_the_page_on_the_catalogue_names_every_field() -> None:
    text = page("docs/catalogue.md")
    for part in (CatalogueFile, ProviderSpec, ModelSpec, Route, Price):
        for name in part.model_fields:
            assert re.search(rf"\b{name}\b", text), f"{part.__name__}.{name}"


def test_the_page_on_the_catalogue_names_keys_and_personas_of_the_built_in_file() -> None:
    text = page("docs/catalogue.md")
    built_in = CatalogueFile.model_validate(
        yaml.safe_load((ROOT / "app/catalogue/builtin.yaml").read_text())
    )
    by_key = {n: p.api_key_env for n, p in built_in.providers.items() if p.enabled_by_key}
    told = {row[0].strip("`"): row[1].strip("`") for row in table(text, "provider")}
    assert told == by_key
    for name, spec in built_in.models.items():
        if spec.over == "chat":
            assert f"`{name}`" in text, name


def test_the_table_of_the_simulator_is_its_settings() -> None:
    rows = table(page("docs/catalogue.md"), "metadata")
    told = {row[0].strip("`").removeprefix("sim_"): row[1] for row in rows}
    fields = {name: f.default for name, f in SimSettings.model_fields.items() if name != "attempt"}
    assert told == {
        name: "" if value is None else str(value).lower() for name, value in fields.items()
    }
