"""The `moonpool` command without a stack: help, exit codes, settings, doctor."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.cli.main import COMMANDS, cli, main
from app.cli.settings import settings_page
from app.settings import Settings, settings
from tests.stacks import free_port

ROOT = Path(__file__).parents[2]
PUBLIC = [n for n in COMMANDS if not cli.get_command(click.Context(cli), n).hidden]  # type: ignore[union-attr]
NESTED = [
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("keys", "rotate"),
    ("tenants", "create"),
    ("tenants", "list"),
    ("tenants", "set"),
    ("credit", "add"),
    ("credit", "debit"),
    ("credit", "refund"),
    ("credit", "reverse"),
    ("ledger", "verify"),
    ("evolution", "verify"),
    ("jobs", "list"),
    ("jobs", "retry"),
]


@pytest.fixture(autouse=True)
def nothing_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MOONPOOL_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("MOONPOOL_PORT", str(free_port()))
    settings.cache_clear()
    yield
    settings.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize("words", [(), *[(n,) for n in COMMANDS], *NESTED])
def test_every_command_explains_itself(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, _ = run(capsys, *words, "--help")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(['moonpool', *words])}")
    assert len(lines[2].strip()) > 10


@pytest.mark.parametrize(
    "words", [("up",), ("demo",), ("doctor",), ("status",), ("keys",), ("tenants",)]
)
def test_help_has_examples(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    _, out, _ = run(capsys, *words, "--help")
    assert "Examples:" in out
    assert f"moonpool {' '.join(words)}" in out.split("Examples:")[1]


def test_the_list_of_commands_hides_those_of_the_procfile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "--help")
    shown = [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()]
    assert shown == PUBLIC
    assert not {"worker", "beat", "upkeep", "flower", "prepare", "greet"} & set(shown)


def test_every_procfile_line_is_a_program_that_is_there() -> None:
    for line in (ROOT / "Procfile").read_text().splitlines():
        _, command = line.split(": ", 1)
        program, *words = command.split()
        if program == "moonpool":
            assert words[0] in COMMANDS


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("down",),
        ("demo",),
        ("migrate",),
        ("keys", "create"),
        ("keys", "list"),
        ("keys", "revoke", "key_1"),
        ("keys", "rotate", "key_1"),
        ("tenants", "create", "acme"),
        ("tenants", "list"),
        ("tenants", "set", "acme", "--disable"),
        ("audit",),
        ("credit", "add", "1"),
        ("credit", "debit", "1"),
        ("credit", "refund", "job_1"),
        ("credit", "reverse", "ent_1"),
        ("ledger", "verify"),
        ("evolution", "verify"),
    ],
)
def test_without_a_stack_it_is_3(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 3
    assert "up" in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("up", "--port", "0"),
        ("up", "--port", "many"),
        ("up", "--procfile", "/no/such/file"),
        ("credit", "add", "-1"),
        ("credit", "add", "lots"),
        ("tenants", "create", "acme", "--tier", "no-such-tier"),
        ("tenants", "set", "acme"),
        ("tenants", "set", "acme", "--postpaid-limit", "-1"),
        ("credit", "add", "0.0000000001"),
        ("worker", "fast"),
        ("keys", "revoke"),
        ("tenants", "create", ""),
        ("tenants", "create", "a\nb"),
        ("tenants", "set", "acme", "--name", "x" * 201),
        ("tenants", "set", "acme", "--sessions", str(2**31)),
        ("tenants", "set", "acme", "--tokens-per-day", str(2**63)),
        ("keys", "create", "--name", ""),
        ("keys", "create", "--app", "a shop"),
        ("keys", "create", "--requests-per-minute", str(2**63)),
        ("keys", "create", "--expires-in-days", "1e300"),
        ("keys", "rotate", "key_x", "--grace-seconds", "1e18"),
    ],
)
def test_wrong_use_is_2(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert err.strip()


def test_a_wrong_setting_is_2_and_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONPOOL_PORT", "eight")
    settings.cache_clear()
    code, _, err = run(capsys, "status")
    assert code == 2
    assert "MOONPOOL_PORT" in err


def test_an_option_stands_over_the_environment(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    _, out, _ = run(capsys, "status", "--json", "--port", "8111", "--data-dir", str(folder / "o"))
    found = json.loads(out)
    assert found["base_url"] == "http://127.0.0.1:8111/v1"
    assert found["data_dir"] == str(folder / "o")


def test_the_settings_page_is_what_the_docs_hold() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page()


def test_every_setting_is_on_the_page_and_no_value_in_use(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONPOOL_DATABASE_URL", "postgresql://me:secret@db/moonpool")
    settings.cache_clear()
    code, out, _ = run(capsys, "settings")
    assert code == 0
    assert "secret@" not in out
    for name, field in Settings.model_fields.items():
        assert f"MOONPOOL_{name.upper()}" in out
        assert field.description is not None
        assert field.description in out


def test_doctor_finds_a_sound_set_up_sound(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--json")
    assert code == 0
    found = {check["name"]: check["state"] for check in json.loads(out)}
    assert found["postgres program"] == found["redis program"] == found["catalogue"] == "ok"
    assert found["postgres"] == found["redis"] == "warn"


def test_doctor_says_what_is_wrong_and_how_to_mend_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        (folder / "broken.yaml").write_text("models: [")
        monkeypatch.setenv("MOONPOOL_PORT", str(port))
        monkeypatch.setenv("MOONPOOL_DATABASE_URL", "postgresql://me:secret@127.0.0.1:9/moonpool")
        monkeypatch.setenv("MOONPOOL_REDIS_URL", "redis://127.0.0.1:9/0")
        monkeypatch.setenv("MOONPOOL_CATALOGUE", str(folder / "broken.yaml"))
        monkeypatch.setenv("MOONPOOL_DATA_DIR", "/dev/null/data")
        settings.cache_clear()
        code, out, _ = run(capsys, "doctor", "--json")
    failed = {c["name"]: c for c in json.loads(out) if c["state"] == "fail"}
    assert code == 1
    assert set(failed) == {"postgres", "redis", "catalogue", "data directory", f"port {port}"}
    assert all(check["mend"] for check in failed.values())
    assert "secret" not in out


def test_plain_tables_have_no_drawing(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "doctor")
    assert out.startswith("state  check")
    assert "│" not in out


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.startswith("moonpool 0.")
