"""Jobs for the chaos tests: their text is known, so a hole or a repetition shows."""

from typing import Any
from uuid import uuid4

import httpx

from app.db.connect import connect
from tests.stacks import Stack
from tests.waiting import wait_for


def slow(tokens: int, per_second: int, **more: str) -> dict[str, Any]:
    """A completion by the simulator of `tokens` tokens at a steady pace."""
    return {
        "model": "builtin/sim",
        "messages": [{"role": "user", "content": "count"}],
        "metadata": {"sim_tokens": str(tokens), "sim_tokens_per_second": str(per_second), **more},
    }


def start(client: httpx.Client, body: dict[str, Any]) -> str:
    """Starts a background job as a careful client does: what is refused for now is sent again with
    the same Idempotency-Key. Returns its id."""
    headers = {"Idempotency-Key": str(uuid4())}

    def accepted() -> str | None:
        answer = client.post(
            "/chat/completions", json={**body, "background": True}, headers=headers
        )
        assert answer.status_code in (202, 503), answer.text
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    return wait_for(accepted, 10, "a job accepted") or ""


def expected_text(client: httpx.Client, body: dict[str, Any]) -> str:
    """What the simulator says to `body`, without its pace."""
    quick = {**body, "metadata": {**body["metadata"], "sim_tokens_per_second": "0"}}
    answer = client.post("/chat/completions", json=quick)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def transfers(stack: Stack, job_ids: list[str]) -> dict[str, list[str]]:
    """The kinds of each job's ledger transfers, sorted."""
    with connect(stack.database_url) as connection:
        rows = connection.execute(
            "SELECT job_id, array_agg(kind ORDER BY kind) FROM transfer "
            "WHERE job_id = ANY (%s) GROUP BY job_id",
            (job_ids,),
        )
        return {row[0]: row[1] for row in rows}


ONCE = ["hold", "release", "settle"]
"""The transfers of a job that ended, each once."""
