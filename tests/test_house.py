"""Rules of the house that are read from the source itself.

Which room may import which is in `.importlinter`; how the doors, lanes and tasks hang together is
in `test_wiring.py`.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# One process reads and parses the sources.
pytestmark = pytest.mark.xdist_group("source")
OURS = ("app", "workers", "tasks")
ALL = (*OURS, "tests", "deploy", "bench")
LINES_MAX = 400
FUNCTION_MAX = 70
"""TIGER_STYLE's bound: a function fits a screen."""

TRIVIAL_MAX = 5
"""A method of so many lines says by its name and types what it does."""

MAY_SKIP = Path("tests/browser/conftest.py")
"""Where no Chromium is and none can be installed, there is no page to look at."""

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
NO_ROOM = {"common", "helper", "helpers", "misc", "shared", "util", "utils"}

PLACES: dict[str, dict[str, str]] = {
    "flask": {
        "app.main": "makes the application",
        "app.web": "is the HTTP door",
    },
    "werkzeug": {
        "app.web.problems": "answers Werkzeug's errors as ours",
        "app.web.openapi": "reads the URL map",
        "app.web.application": "finds the routes",
        "app.web.body": "tells when a client has gone",
        "app.web.arriving": "reads forms",
    },
    "psycopg": {
        "app.db": "is the way to Postgres",
        "app.ledger.verify": "sets the isolation level of its snapshot",
        "app.jobs.service": "keeps trying to settle a doubt when Postgres fails it",
        "workers.inference.heartbeat": "outlives a Postgres that goes away",
    },
    "celery": {"workers.main": "is the Celery process; all others know the queue by name"},
    "redis": {
        "app.redis": "reads addresses as redis-py does, and is the only way to Redis",
    },
    "hiredis": {"app.redis": "is the only way to Redis"},
    "jwt": {"app.accounts": "verifies tokens"},
    "cryptography": {
        "app.accounts.jwks": "holds issuers' public keys",
        "app.accounts.answers": "seals answers that may show a secret",
        "app.vault": "seals what must be read again",
    },
    "onnx": {"app.embedding.graph": "is the model's graph"},
    "onnxruntime": {"app.embedding.session": "runs the model"},
    "markdown_it": {"app.lunes.extraction.markdown": "reads Markdown"},
    "pypdf": {"app.lunes.extraction.pdf": "reads PDF"},
    "selectolax": {"app.lunes.extraction.html": "reads HTML"},
    "tokenizers": {"app.embedding.session": "reads the model's vocabulary"},
    "botocore": {"app.files.storage.s3": "speaks to a bucket"},
    "genai_prices": {"app.catalogue.prices": "knows what models cost"},
    "torch": {
        "app.emotion.reading.train": "trains the reader of feelings, elsewhere",
        "app.emotion.reading.training": "is what the training is made of",
    },
}
"""Where a package may be imported: the module or its whole room, and why."""


@cache
def sources(*folders: str) -> dict[Path, str]:
    """The Python files of top-level folders, by path from the root."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return {path.relative_to(ROOT): path.read_text() for path in found}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def trees(*folders: str) -> dict[Path, ast.Module]:
    return {path: tree_of(path) for path in sources(*folders)}


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules that a file imports, at its head or anywhere else."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            found.add(str(node.module))
    return frozenset(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def lines_of(node: ast.FunctionDef | ast.ClassDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path): len(text.splitlines()) for path, text in sources(*ALL).items()}
    assert {path: n for path, n in lengths.items() if n > LINES_MAX} == {}


def test_no_function_is_longer_than_70_lines() -> None:
    long = {
        f"{path}: {function.name}": lines_of(function)
        for path, tree in trees(*ALL).items()
        for function in functions(tree)
        if lines_of(function) > FUNCTION_MAX
    }
    assert long == {}


def test_no_room_is_called_after_nothing() -> None:
    named = {str(path) for path in sources(*OURS) if NO_ROOM & {*path.with_suffix("").parts}}
    assert named == set()


@pytest.mark.parametrize("package", PLACES)
def test_a_package_is_imported_where_it_belongs_and_nowhere_else(package: str) -> None:
    users = {
        dotted(path)
        for path in sources(*OURS)
        if any(within(module, package) for module in imported(path))
    }
    strangers = {user for user in users if not any(within(user, at) for at in PLACES[package])}
    assert strangers == set(), f"{package} does not belong there"
    unused = {at for at in PLACES[package] if not any(within(user, at) for user in users)}
    assert unused == set(), f"{package} is not used there: strike it off the list"


def test_only_the_settings_read_the_environment() -> None:
    readers = set()
    for path, tree in trees(*OURS).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ENVIRONMENT:
                readers.add(dotted(path))
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                readers |= {dotted(path) for name in node.names if "env" in name.name}
    assert readers == {"app.settings"}


def test_statements_are_written_in_stores_alone() -> None:
    """SQL stands in `app/db`, in `store.py` files, and in two rooms whose every file is one table's
    store."""
    homes = (
        "app/db/*",
        "app/*/store.py",
        "app/*/*/store.py",
        "app/accounts/*.py",
        "app/ledger/*.py",
    )
    writers = {
        str(path)
        for path, tree in trees(*OURS).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("execute", "executemany")
        if not any(path.match(home) for home in homes)
    }
    assert writers == set()


def test_what_is_public_is_explained() -> None:
    """Modules, classes and functions without an underscore have a docstring.

    Exempt: an empty `__init__.py`; a class that its module's docstring names; a method of at most
    five lines; and a method of a class with bases, since what it overrides is explained there.
    """
    bare = [
        name
        for path, text in sources(*OURS).items()
        if text.strip()
        for name in unexplained(str(path), tree_of(path))
    ]
    assert bare == []


def unexplained(path: str, tree: ast.Module) -> Iterator[str]:
    about = ast.get_docstring(tree)
    if about is None:
        yield path
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None and node.name not in (about or "").split():
            yield f"{path}: {node.name}"
        if isinstance(node, ast.ClassDef) and not node.bases:
            for method in node.body:
                if not isinstance(method, ast.FunctionDef) or method.name.startswith("_"):
                    continue
                if lines_of(method) > TRIVIAL_MAX and ast.get_docstring(method) is None:
                    yield f"{path}: {node.name}.{method.name}"


def test_nothing_is_promised_for_later() -> None:
    """No marks of unfinished work, no tests that are passed over."""
    found = []
    marks = {"TODO", "FIXME", "XXX"}
    for path, text in sources(*ALL).items():
        # Most files have no such word anywhere, and to tokenize all of them takes seconds.
        readline = io.StringIO(text if any(mark in text for mark in marks) else "").readline
        for token in tokenize.generate_tokens(readline):
            if token.type == tokenize.COMMENT and marks & {
                word.strip("#:(),.") for word in token.string.split()
            }:
                found.append(f"{path}:{token.start[0]}: {token.string}")
        for node in ast.walk(tree_of(path)):
            if path != MAY_SKIP and isinstance(node, ast.Attribute) and node.attr in (
                "importorskip", "skip", "skipif", "skipIf", "xfail",
            ):  # fmt: skip
                found.append(f"{path}:{node.lineno}: {node.attr}")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                found.append(f"{path}:{node.lineno}: {node.id}")
    assert found == []
