"""The `moonpool` commands against a whole running stack."""

import json
from collections.abc import Iterator

import httpx
import pytest

from app.db.connect import connect
from tests.stacks import Stack

PROCESSES = {
    "postgres",
    "redis",
    "web",
    "worker_interactive",
    "worker_background",
    "worker_batch",
    "worker_system",
    "beat",
    "upkeep",
    "flower",
}


pytestmark = pytest.mark.xdist_group("whole stack")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as up:
        yield up


def test_demo_answers_three_times_and_says_what_it_cost(stack: Stack) -> None:
    done = stack.command("demo", "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert set(answers) == {"sync", "stream", "background"}
    for answer in answers.values():
        assert answer["text"]
        assert answer["cost_usd"] > 0
        assert answer["job_id"].startswith("job_")


def test_status_is_0_with_all_processes_once_ready(stack: Stack) -> None:
    done = stack.command("status", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert {p["name"] for p in found["processes"] if p["state"] == "running"} == PROCESSES


def test_keys_are_made_used_listed_and_revoked(stack: Stack) -> None:
    made = json.loads(
        stack.command("keys", "create", "--tenant", "acme", "--name", "ci", "--json").stdout
    )
    assert set(made) >= {"id", "key", "tenant_id"}
    headers = {"Authorization": f"Bearer {made['key']}"}
    models = httpx.get(f"{stack.base_url}/models", headers=headers, trust_env=False)
    assert models.status_code == 200
    listed = json.loads(stack.command("keys", "list", "--json").stdout)
    assert {row["name"]: row["tenant"] for row in listed}["ci"] == "acme"
    assert made["key"] not in json.dumps(listed)
    assert stack.command("keys", "revoke", made["id"]).returncode == 0
    again = stack.command("keys", "revoke", made["id"])
    assert again.returncode == 1
    assert made["id"] in again.stderr


def test_credit_is_added_and_an_unknown_tenant_is_1(stack: Stack) -> None:
    stack.command("keys", "create", "--tenant", "rich")
    added = stack.command("credit", "add", "2.50", "--tenant", "rich", "--json")
    assert json.loads(added.stdout)["wallet_usd"] == 2.5
    unknown = stack.command("credit", "add", "1", "--tenant", "nobody-here")
    assert unknown.returncode == 1
    assert "nobody-here" in unknown.stderr


def test_doctor_sees_every_worker(stack: Stack) -> None:
    done = stack.command("doctor", "--json")
    assert done.returncode == 0
    found = {check["name"]: check["state"] for check in json.loads(done.stdout)}
    workers = [f"worker {lane}" for lane in ("interactive", "background", "batch", "system")]
    assert {found[w] for w in workers} == {"ok"}
    assert found["migrations"] == found["pgvector"] == "ok"


def test_flower_wants_its_password_and_is_here_only(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.record().flower_port}"
    assert httpx.get(address, trust_env=False).status_code == 401
    password = (stack.data_dir / "flower.password").read_text().strip()
    page = httpx.get(f"{address}/workers", auth=("moonpool", password), trust_env=False)
    assert page.status_code == 200


def test_the_books_are_right_until_a_row_is_altered(stack: Stack) -> None:
    good = stack.command("ledger", "verify")
    assert (good.returncode, good.stdout) == (0, "the books are right\n")
    with connect(stack.database_url) as connection:
        changed = connection.execute(
            "UPDATE account SET balance = balance + 1 WHERE kind = 'wallet' RETURNING id"
        ).fetchall()
    bad = stack.command("ledger", "verify", "--json")
    assert bad.returncode == 1
    findings = json.loads(bad.stdout)["findings"]
    assert all(any(row in f["row"] + f["message"] for f in findings) for (row,) in changed)
    with connect(stack.database_url) as connection:
        connection.execute("UPDATE account SET balance = balance - 1 WHERE kind = 'wallet'")


def test_the_web_is_back_after_a_kill(stack: Stack) -> None:
    stack.await_restart("web", stack.kill("web"))
    stack.await_ready()
    assert stack.command("demo", "--json").returncode == 0
