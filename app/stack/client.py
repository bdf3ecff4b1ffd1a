"""Talks to a running stack over HTTP, as any client does."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from app.stack.failure import NotUp, StackError

MODEL = "lunaby-pro"
TIMEOUT = httpx.Timeout(60, connect=5)
POLL_S = 0.1
JOB_SECONDS = 120
END_STATES = ("completed", "failed", "cancelled", "expired")


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion: its text, what it cost in dollars if that was said, and how long it took."""

    text: str
    cost_usd: float | None
    seconds: float
    job_id: str | None


def readiness(web_address: str) -> tuple[bool, str]:
    """Whether the web says that the stack is ready, and if not, what is missing."""
    try:
        answer = httpx.get(f"{web_address}/readyz", timeout=3, trust_env=False)
    except httpx.HTTPError as error:
        return False, f"the web does not answer ({error})"
    return answer.status_code == 200, "" if answer.status_code == 200 else _problem(answer)


class Client:
    """A client of one stack with one key. Raises NotUp if nothing answers at `base_url`, and
    StackError with the stack's own words if it answers with an error."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, prompt: str, model: str = MODEL) -> Answer:
        """One completion, waited for."""
        began = time.monotonic()
        answer = self._send("POST", "/chat/completions", json=_body(prompt, model))
        return _answer(answer.json(), began, answer.headers.get("x-job-id"))

    def ask_background(self, prompt: str, model: str = MODEL) -> Answer:
        """One completion as a job in the background, asked for until it is there."""
        began = time.monotonic()
        body = _body(prompt, model) | {"background": True}
        job = self._send("POST", "/chat/completions", json=body).json()
        while job["status"] not in END_STATES:
            if time.monotonic() - began > JOB_SECONDS:
                raise StackError(f"{job['id']} was not done after {JOB_SECONDS} s")
            time.sleep(POLL_S)
            job = self._send("GET", f"/jobs/{job['id']}").json()
        if job["status"] != "completed":
            raise StackError(f"{job['id']} {job['status']}: {_words(job.get('error'))}")
        return _answer(job["result"], began, job["id"])

    def stream(self, prompt: str, tell: Callable[[str], None], model: str = MODEL) -> Answer:
        """One completion, streamed: `tell` gets each piece of text as it comes."""
        began = time.monotonic()
        body = _body(prompt, model) | {"stream": True, "stream_options": {"include_usage": True}}
        text, usage = "", None
        try:
            with self._http.stream("POST", "/chat/completions", json=body) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise StackError(_problem(answer))
                for chunk in _chunks(answer):
                    for choice in chunk.get("choices") or []:
                        piece = choice.get("delta", {}).get("content") or ""
                        text += piece
                        tell(piece)
                    usage = chunk.get("usage") or usage
                job_id = answer.headers.get("x-job-id")
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return Answer(text, _cost(usage), time.monotonic() - began, job_id)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        if answer.status_code >= 400:
            raise StackError(_problem(answer))
        return answer


def _body(prompt: str, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 120,
        "messages": [{"role": "user", "content": prompt}],
    }


def _chunks(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        data = line.removeprefix("data: ")
        if not line.startswith("data: "):
            continue
        if data == "[DONE]":
            return
        chunk: dict[str, Any] = json.loads(data)
        if "error" in chunk:
            raise StackError(_words(chunk["error"]))
        yield chunk
    raise StackError("the stream was cut")


def _answer(completion: dict[str, Any], began: float, job_id: str | None) -> Answer:
    text = completion["choices"][0]["message"]["content"] or ""
    return Answer(text, _cost(completion.get("usage")), time.monotonic() - began, job_id)


def _cost(usage: dict[str, Any] | None) -> float | None:
    return (usage or {}).get("total_cost_usd")


def _words(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def _problem(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return f"the web answers {answer.status_code}"
    error = found.get("error") if isinstance(found, dict) else None
    return _words(error) if error else json.dumps(found)


def _unreachable(base_url: object, error: httpx.HTTPError) -> StackError:
    if isinstance(error, httpx.ConnectError):
        return NotUp(f"nothing answers at {base_url}. Start it with `moonpool up`")
    return StackError(f"{base_url}: {error or type(error).__name__}")
