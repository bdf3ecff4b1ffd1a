"""The examples of the pages, run against a whole stack; what stands below one is what it prints.

`…` in what is shown stands for anything. JSON is compared by structure: what is shown must be
there, numbers by type alone. Of other output, the lines that are shown must come in their order.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from app.db.connect import connect
from tests.markdown import ROOT, Fence, fences, page
from tests.stacks import Stack, free_port

RS = "\x1e"
RECEIVER = "9000"
"""The port at which a page's program waits for a webhook; a free one takes its place."""


def sequences(name: str) -> list[tuple[Fence, Fence | None]]:
    """The commands and programs of a page, each with what is shown right below it."""
    blocks = fences(page(name))
    return [
        (block, below if below and below.language in ("json", "text") else None)
        for block, below in zip(blocks, [*blocks[1:], None], strict=True)
        if block.language in ("sh", "python")
    ]


def pattern(shown: str) -> str:
    return ".*".join(re.escape(part) for part in shown.split("…"))


def differences(shown: Any, got: Any, at: str = "$") -> Iterator[str]:
    """Where `got` lacks what is shown, or has it otherwise."""
    if isinstance(shown, dict) and isinstance(got, dict):
        for key, value in shown.items():
            if key in got:
                yield from differences(value, got[key], f"{at}.{key}")
            else:
                yield f"{at}.{key} is missing"
    elif isinstance(shown, list) and isinstance(got, list):
        for number, (one, other) in enumerate(zip(shown, got, strict=False)):
            yield from differences(one, other, f"{at}[{number}]")
        if len(got) < len(shown):
            yield f"{at} has {len(got)} entries, not {len(shown)}"
    elif isinstance(shown, str) and isinstance(got, str):
        if not re.fullmatch(pattern(shown), got, re.S):
            yield f"{at} is {got!r}"
    elif isinstance(shown, bool) or shown is None:
        if got is not shown:
            yield f"{at} is {got!r}"
    elif isinstance(got, bool) or not (
        isinstance(shown, int | float) and isinstance(got, int | float)
    ):
        yield f"{at} is {got!r}"


def problems(shown: Fence, output: str) -> list[str]:
    """What is shown below an example and not so in its output."""
    if shown.language == "json":
        try:
            return list(differences(json.loads(shown.text), json.loads(output)))
        except json.JSONDecodeError as error:
            return [f"not JSON: {error}: {output}"]
    rest = iter(output.replace("\r", "").split("\n"))
    return [
        f"no line like {line!r} in {output}"
        for line in shown.text.split("\n")
        if line and not any(re.match(pattern(line), came) for came in rest)
    ]


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack({"MOONPOOL_WEBHOOK_ALLOW": f"127.0.0.1:{free_port()}"}) as running:
        yield running


@pytest.fixture
def place(stack: Stack) -> Path:
    """A folder in which `.moonpool` is the data of the stack, and perhaps a curl."""
    at = stack.folder / "place"
    at.mkdir()
    (at / ".moonpool").symlink_to(stack.data_dir)
    if shutil.which("curl") is None:
        stand_in = at / "curl"
        stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/curl.py" "$@"\n')
        stand_in.chmod(0o755)
    return at


def run(stack: Stack, place: Path, argv: list[str], text: str) -> str:
    """Runs a script on standard input; returns what it printed."""
    programs = [str(place), str(Path(sys.executable).parent), os.environ["PATH"]]
    env = stack.env | {"PATH": os.pathsep.join(programs), "NO_PROXY": "*", "no_proxy": "*"}
    here = text.replace("http://127.0.0.1:8000", stack.base_url.removesuffix("/v1"))
    receiver = stack.env["MOONPOOL_WEBHOOK_ALLOW"].rpartition(":")[2]
    here = re.sub(rf"\b{RECEIVER}\b", receiver, here)
    done = subprocess.run(
        argv,
        input=here,
        env=env,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def run_page(stack: Stack, place: Path, name: str, wanted: str) -> list[str]:
    """Runs the shell examples of a page that match `wanted` in one shell, and its programs each by
    itself; returns what is not as shown."""
    pairs = [pair for pair in sequences(name) if re.search(wanted, pair[0].text, re.M)]
    shells = [pair for pair in pairs if pair[0].language == "sh"]
    assert shells, f"no examples in {name}"
    script = "set -e\n" + f"printf '{RS}'\n".join(block.text for block, _ in shells)
    outputs = list(zip(shells, run(stack, place, ["sh"], script).split(RS), strict=True))
    for pair in pairs:
        if pair[0].language == "python":
            outputs.append((pair, run(stack, place, [sys.executable, "-"], pair[0].text)))
    found = []
    for (block, shown), output in outputs:
        at = f"{name}:{block.line}"
        if shown is not None:
            found += [f"{at}: {problem}" for problem in problems(shown, output)]
        elif not re.match(r"[A-Z]+=", block.text):
            found.append(f"{at}: nothing is shown below it")
    return found


def operate(stack: Stack, place: Path) -> None:
    """Makes the backup and asks the queries of the page for operators; the books stay right."""
    [backup] = [f for f in fences(page("docs/operations.md"), "sh") if "pg_dump" in f.text]
    run(stack, place, ["sh"], "set -e\n" + backup.text)
    assert (place / "moonpool.dump").read_bytes().startswith(b"PGDMP")
    queries = fences(page("docs/operations.md"), "sql")
    assert len(queries) >= 5
    with connect(stack.database_url) as connection:
        for query in queries:
            connection.execute(sql.SQL(query.text))
    assert stack.command("ledger", "verify").returncode == 0


def test_the_examples_print_what_is_shown(stack: Stack, place: Path) -> None:
    """One test, so that one stack does for all pages."""
    found = run_page(stack, place, "README.md", "curl|import")
    for name in (
        "api", "accounts", "batches", "billing", "emotions", "evolution", "files", "jobs", "lunes",
        "memory", "web-chat", "webhooks",
    ):  # fmt: skip
        found += run_page(stack, place, f"docs/{name}.md", "")
    assert found == []
    operate(stack, place)
