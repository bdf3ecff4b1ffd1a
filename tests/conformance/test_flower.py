"""Flower shows real work: the task, its jobs, and never a prompt."""

import httpx
import pytest

from app.queue import Task
from app.stack import flower
from tests.stacks import Stack
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("stack")

MARKER = "a prompt that nobody else may read"


def test_flower_shows_the_job_and_not_the_prompt(stack: Stack) -> None:
    with stack.client() as plain:
        body = {"messages": [{"role": "user", "content": MARKER}]}
        job_id = plain.post("/chat/completions", json=body).headers["x-job-id"]
    place = f"http://127.0.0.1:{stack.record().flower_port}"
    password = flower.password(stack.data_dir)
    with httpx.Client(base_url=place, auth=(flower.USER, password), trust_env=False) as browser:

        def seen() -> str | None:
            found = browser.get("/api/tasks", params={"limit": 500})
            return found.text if found.status_code == 200 and job_id in found.text else None

        told = wait_for(seen, 30, "the job in Flower")
        assert told is not None
        assert Task.ANSWER.value in told
        assert "SUCCESS" in told
        assert MARKER not in told
        assert browser.get("/workers").status_code == 200
    assert httpx.get(f"{place}/api/tasks", trust_env=False).status_code == 401
