"""How doors, lanes, tasks and processes hang together: nothing open, nothing without a taker."""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from app import errors
from app.cli.main import COMMANDS, cli
from app.db import migrate
from app.errors import MoonpoolError
from app.jobs.model import Lane
from app.main import create_app
from app.queue import LANES, Task
from app.settings import Settings
from app.stack.program import Program, procfile_programs
from app.web.front import front
from app.web.guards import GUARDS, guard, nobody
from app.web.problems import problem
from workers.main import app as celery

ROOT = Path(__file__).resolve().parents[1]
FOUR_KEYS = {"message", "type", "param", "code"}
PUBLIC = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/public/models",
    "/v1/images/<picture>",
    "/v1/sessions",
    "/openapi.json",
    "/docs",
    "/chat/<token>",
    "/chat/<token>/messages",
    "/chat/<token>/events",
    "/chat/<token>/stop",
    "/console",
    "/console/router",
    "/static/<digest_of>/<asset>",
}
"""All that answers without a key."""


@pytest.fixture(scope="module")
def nowhere() -> Settings:
    """Settings whose Postgres and Redis nobody runs: whoever asks them fails."""
    return Settings(
        database_url="postgresql://nobody@127.0.0.1:1/nothing",
        redis_url="redis://127.0.0.1:1/0",
        ollama_url="",
    )


@pytest.fixture(scope="module")
def web(nowhere: Settings) -> Flask:
    return create_app(nowhere)


@pytest.fixture
def client(web: Flask) -> FlaskClient:
    return web.test_client()


def path_of(rule: Rule) -> str:
    return re.sub(r"<[^>]+>", "any", rule.rule)


def test_every_route_stands_behind_a_guard_of_the_table(web: Flask) -> None:
    blueprints = {rule.endpoint.partition(".")[0] for rule in web.url_map.iter_rules()}
    assert blueprints == set(web.blueprints) == set(GUARDS)
    open_routes = {
        rule.rule
        for rule in web.url_map.iter_rules()
        if GUARDS[rule.endpoint.partition(".")[0]] is nobody
    }
    assert open_routes == PUBLIC


def test_a_blueprint_without_a_guard_does_not_start(nowhere: Settings) -> None:
    with pytest.raises(KeyError, match="forgotten"):
        guard(Flask("other"), front(nowhere), [Blueprint("forgotten", "other")])


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic bW9vbjpwb29s"}, {"Authorization": "Bearer "}, {"x-api-key": " "}],
    ids=["no key", "another scheme", "an empty key", "a blank key"],
)
def test_every_route_that_is_not_public_refuses(
    web: Flask, client: FlaskClient, headers: dict[str, str]
) -> None:
    tried = 0
    for rule in web.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            if rule.rule in PUBLIC:
                continue
            answer = client.open(path_of(rule), method=method, headers=headers)
            assert answer.status_code == 401, f"{method} {rule.rule}"
            assert set(answer.get_json()["error"]) == FOUR_KEYS
            tried += 1
    assert tried >= 11


def test_every_post_that_makes_no_job_honours_an_idempotency_key(web: Flask) -> None:
    """Those that make a job carry the key into its admission; nobody is known yet at a sign-in, and
    to stop twice is to stop once."""
    with_job = {
        "chat.create_chat_completion",
        "completions.create_completion",
        "embeddings.create_embedding",
        "images.create_image",
        "messages.create_message",
        "responses.create_response",
        "router.route",
        "retries.retry_job",
        "transcriptions.create_transcription",
        "web_chat_page.say",
    }
    posts = {rule.endpoint for rule in web.url_map.iter_rules() if "POST" in (rule.methods or ())}
    rest = posts - with_job - {"sessions.create_session", "web_chat_page.stop"}
    assert len(rest) >= 15
    for endpoint in rest:
        called = set(web.view_functions[endpoint].__code__.co_names)
        called |= set(web.view_functions[endpoint].__code__.co_freevars)
        assert called & {"posted", "posted_whole", "answered", "run_chore"}, endpoint


def kinds(base: type[MoonpoolError] = MoonpoolError) -> list[type[MoonpoolError]]:
    return [base, *(kind for below in base.__subclasses__() for kind in kinds(below))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_is_told_with_all_four_keys(kind: type[MoonpoolError]) -> None:
    answer = problem(kind("what went wrong"))
    body = answer.get_json()
    assert answer.status_code == kind.status
    assert set(body) == {"error", "detail"}
    assert set(body["error"]) == FOUR_KEYS
    assert body["error"]["message"] == body["detail"] == "what went wrong"
    assert body["error"]["type"] == kind.type


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = dict(re.findall(r"^[├└]── (\w+) +(\d{3})  \S", str(errors.__doc__), re.M))
    assert drawn == {kind.__name__: str(kind.status) for kind in kinds()[1:]}


def test_every_task_is_registered_and_every_registered_task_is_named() -> None:
    for module in celery.conf.include:
        import_module(module)
    assert {name for name in celery.tasks if not name.startswith("celery.")} == set(Task)


def test_what_beat_sends_is_a_task_on_a_lane() -> None:
    for entry in celery.conf.beat_schedule.values():
        assert entry["task"] in set(Task)
        assert entry["options"]["queue"] in LANES


def test_a_lane_is_the_same_everywhere(nowhere: Settings) -> None:
    assert get_args(Lane) == LANES
    assert {queue.name for queue in celery.conf.task_queues} == set(LANES)
    assert celery.conf.task_default_queue in LANES
    rows = [re.search(r"INSERT INTO lane .*;", text) for text in migrate._scripts().values()]
    [seeds] = [row[0] for row in rows if row]
    assert set(re.findall(r"\('(\w+)'\)", seeds)) == set(LANES)
    for lane in LANES:
        assert nowhere.slots(lane) > 0
        assert nowhere.backlog(lane) > 0


def programs() -> dict[str, Program]:
    return {found.name: found for found in procfile_programs(ROOT / "Procfile", {})}


def test_every_lane_has_a_worker() -> None:
    workers = [found.argv[-1] for found in programs().values() if "worker" in found.argv]
    assert sorted(workers) == sorted(LANES)


@pytest.mark.parametrize("name", programs())
def test_every_process_of_the_procfile_can_be_started(name: str) -> None:
    argv = programs()[name].argv
    assert shutil.which(argv[0], path=str(Path(sys.executable).parent))
    if argv[0] == "moonpool":
        assert argv[1] in COMMANDS
        command = cli.get_command(click.Context(cli), argv[1])
        assert command is not None
        command.make_context(argv[1], argv[2:])
    else:
        assert argv[:2] == ["gunicorn", "-c"]
        assert (ROOT / argv[2]).is_file()
