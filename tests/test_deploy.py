"""The examples in `deploy/` parse, agree with one another, and name what exists."""

import re
import runpy
import shlex
from importlib import import_module
from typing import Any

import click
import pytest
import yaml

from app.catalogue.model import CatalogueFile
from app.cli.main import cli
from app.queue import LANES
from app.settings import Settings
from app.vault import KEYS
from app.web.forms import FIELDS_BYTES_MAX
from tests.markdown import ROOT, page

DEFAULTS = Settings()
SETTINGS = {f"MOONPOOL_{name.upper()}" for name in Settings.model_fields}
COMPOSE: dict[str, Any] = yaml.safe_load(page("deploy/compose.yaml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = re.sub(r"^#.*\n", "", page("deploy/Dockerfile"), flags=re.M)


def assert_command_exists(line: str) -> None:
    program, *rest = shlex.split(line)
    if program == "moonpool":
        command = cli.get_command(click.Context(cli), rest[0])
        assert command is not None
        command.make_context(rest[0], rest[1:])
    elif program == "gunicorn":
        assert rest[0] == "-c"
        assert (ROOT / rest[1]).is_file()
    else:
        assert program == "celery"
        assert import_module(rest[rest.index("-A") + 1]).app


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    service = OURS[name]
    assert_command_exists(service["command"])
    assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    named = {key for key in service["environment"] if key.startswith("MOONPOOL_")}
    assert named == {"MOONPOOL_DATABASE_URL", "MOONPOOL_REDIS_URL", KEYS}
    assert named - {KEYS} <= SETTINGS


def test_the_composition_is_whole() -> None:
    commands = [service["command"] for service in OURS.values()]
    assert all(f"moonpool worker {lane}" in commands for lane in LANES)
    lines = page("Procfile").splitlines()
    assert {line.partition(":")[0] for line in lines} <= set(OURS), "a process has no service"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_depends_on_services_and_files_that_are_there(name: str) -> None:
    service = SERVICES[name]
    for other, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert SERVICES[other]["restart"] == "no"
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        if source.startswith("."):
            assert (ROOT / "deploy" / source).is_file()
        else:
            assert source in COMPOSE["volumes"]
    for key, value in service.get("environment", {}).items():
        if key.endswith("_URL"):
            host = re.search(r"(?:@|redis://)(\w+)[:/]", value)
            assert host is not None
            assert host[1] in SERVICES


def test_all_keys_that_the_catalogue_knows_are_passed_on() -> None:
    text = page("app/catalogue/builtin.yaml")
    providers = CatalogueFile.model_validate(yaml.safe_load(text)).providers.values()
    keys = {provider.api_key_env for provider in providers if provider.enabled_by_key}
    for service in OURS.values():
        assert {key for key in service["environment"] if key.endswith("_API_KEY")} == keys


def test_only_nginx_and_this_machine_are_let_in() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"nginx": ["80:80"], "flower": ["127.0.0.1:5555:5555"]}


def test_the_image_holds_what_its_commands_need() -> None:
    copied = []
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        copied += sources.split()
    assert all((ROOT / source).exists() for source in copied)
    assert {"app", "workers", "tasks", "Procfile", "deploy/gunicorn.py"} <= set(copied)
    assert {"pyproject.toml", "requirements.lock", "README.md", "LICENSE"} <= set(copied)
    assert set(re.findall(r"MOONPOOL_\w+", DOCKERFILE)) <= SETTINGS
    [start] = re.findall(r'^CMD \["(.+)"\]$', DOCKERFILE, re.M)
    assert_command_exists(start.replace('", "', " "))
    # The lock is resolved for this version.
    version = re.search(r"--python-version (\S+)", page("Makefile"))
    assert version is not None
    assert DOCKERFILE.lstrip().startswith(f"FROM python:{version[1]}-slim\n")


def statements(text: str) -> list[str]:
    """The statements of nginx's configuration. Fails if a brace or a semicolon is missing."""
    found, depth = [], 0
    for line in text.splitlines():
        statement = line.partition("#")[0].strip()
        if not statement:
            continue
        assert statement[-1] in ";{}", f"no end: {line}"
        depth += {"{": 1, "}": -1}.get(statement[-1], 0)
        assert depth >= 0, f"one brace too many: {line}"
        found.append(statement.rstrip(";{ "))
    assert depth == 0
    return found


def test_nginx_leads_to_the_web_and_does_not_stand_in_its_way() -> None:
    found = statements(page("deploy/nginx.conf"))
    [server] = [statement.split()[1] for statement in found if statement.startswith("server ")]
    host, _, port = server.partition(":")
    assert host in OURS
    assert int(port) == DEFAULTS.port
    assert f"EXPOSE {port}" in DOCKERFILE
    told = {word: rest for word, _, rest in (statement.partition(" ") for statement in found)}
    assert told["proxy_buffering"] == "off"
    files = max(DEFAULTS.audio_limit, DEFAULTS.file_limit) + FIELDS_BYTES_MAX
    largest = max(DEFAULTS.body_limit, files)
    assert int(told["client_max_body_size"].rstrip("m")) * 2**20 >= largest
    assert float(told["proxy_read_timeout"].rstrip("s")) > DEFAULTS.total_timeout


def test_gunicorn_serves_the_application() -> None:
    chosen = runpy.run_path(str(ROOT / "deploy" / "gunicorn.py"))
    module, _, factory = chosen["wsgi_app"].partition(":")
    assert callable(getattr(import_module(module), factory.removesuffix("()")))
    assert chosen["bind"] == f"{DEFAULTS.host}:{DEFAULTS.port}"
