"""What a page shows of a conversation, and what its next turn asks.

The page is public to whoever has its address: system messages, tools, costs and all that an answer
tells of routing and memory stay out of it.
"""

import re
from typing import Any

import orjson

from app.webchat.model import Turn

NOT_AGAIN = frozenset({
    "messages", "asked", "extra_body", "stream", "stream_options", "n", "background",
    "cancel_on_disconnect", "include_web_chat", "cache_ttl", "debug", "tools", "tool_choice",
    "parallel_tool_calls", "functions", "function_call", "response_format", "logprobs",
    "top_logprobs", "prediction", "modalities", "audio", "seed",
})  # fmt: skip
"""Fields of the first request that its turns do without: how its client took the answer, and what
only a program makes use of."""

SENTENCES = {
    "deadline_exceeded": "The answer took too long.",
    "rate_limit_exceeded": "The model is busy just now.",
    "provider_refused": "The model refused this message.",
}
FAILED = "The answer did not come."

_MARK = re.compile(r"\[([0-9]{1,4}(?: ?, ?[0-9]{1,4})*)\]")
_EMOTION = ("primary_emotion", "description", "valence", "arousal", "dominance")


def next_request(turns: list[Turn], said: str) -> dict[str, Any]:
    """The chat request whose answer follows `turns`; the first of them still has its request."""
    first: dict[str, Any] = orjson.loads(turns[0].request or "{}")
    options = {**(first.get("extra_body") or {}), **first}
    asked = {name: value for name, value in options.items() if name not in NOT_AGAIN}
    messages = list(first.get("messages") or ())
    for turn in turns:
        text = answer_text(turn)
        if turn.state in ("completed", "cancelled") and text:
            if turn.said is not None:
                messages.append({"role": "user", "content": turn.said})
            messages.append({"role": "assistant", "content": text})
    messages.append({"role": "user", "content": said})
    return {**asked, "messages": messages}


def shown(turns: list[Turn]) -> list[dict[str, Any]]:
    """The messages of a page. A turn that failed or was never admitted is shown only while it is
    the last one: going on is to leave it behind."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        last = turn is turns[-1]
        lost = turn.state is None and not turn.open
        gone = turn.state in ("failed", "expired") and not last and turn.number > 0
        if lost or gone:
            continue
        if turn.deleted:
            messages.append({"role": "deleted", "turn": turn.number})
            continue
        if turn.number == 0:
            messages += _begun(turn.request)
        else:
            messages.append({"role": "user", "text": turn.said or ""})
        messages.append(_answer(turn))
    return messages


def _begun(request: str | None) -> list[dict[str, Any]]:
    """What user and assistant said before the first answer."""
    told = []
    for message in orjson.loads(request or "{}").get("messages") or ():
        if message.get("role") in ("user", "assistant"):
            text = _text(message.get("content"))
            if text:
                told.append({"role": message["role"], "text": text})
    return told


def _answer(turn: Turn) -> dict[str, Any]:
    body: dict[str, Any] = turn.body or {}
    status = "in_progress" if turn.open else turn.state
    told = {"role": "assistant", "turn": turn.number, "status": status, "text": answer_text(turn)}
    return {
        **told,
        "references": references(body),
        "emotion": emotion(body.get("emotion_state")),
        "error": failure(turn.error) if status in ("failed", "expired") else None,
    }


def answer_text(turn: Turn) -> str:
    """The text of a turn's answer; empty if there is none."""
    return _text(_message(turn.body or {}).get("content"))


def _message(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices") or [{}]
    message: dict[str, Any] = choices[0].get("message") or {}
    return message


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict)]
    texts = [part.get("text") or f"[{part.get('type', 'part')}]" for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def references(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The sources that an answer names, once each: those that its text cites first, with the number
    it cites them by, such as the 2 of `[2]`."""
    message = _message(body)
    text = _text(message.get("content"))
    spans: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for annotation in message.get("annotations") or ():
        cited = annotation.get("url_citation") or {}
        if isinstance(cited.get("url"), str):
            span = cited.get("start_index", 0), cited.get("end_index", 0)
            spans.setdefault(span, []).append(cited)
    found: dict[tuple[str, int | None], dict[str, Any]] = {}
    for (start, end), sources in spans.items():
        marked = _MARK.match(text[start:end])
        numbers: list[int | None] = [int(n) for n in marked[1].split(",")] if marked else []
        if len(numbers) != len(sources):
            numbers = [None] * len(sources)
        for number, cited in zip(numbers, sources, strict=True):
            told = {"number": number, "url": cited["url"], "title": cited.get("title")}
            found.setdefault((cited["url"], number), told)
    known = {url for url, _ in found}
    for url in body.get("url_references") or ():
        if isinstance(url, str) and url not in known:
            found.setdefault((url, None), {"number": None, "url": url, "title": None})
    return list(found.values())


def emotion(state: Any) -> dict[str, Any] | None:
    """What a page shows of a feeling."""
    if not isinstance(state, dict):
        return None
    return {name: state[name] for name in _EMOTION if name in state}


def failure(error: Any) -> dict[str, Any]:
    """Why an answer did not come, in words for somebody who is not the tenant."""
    code = error.get("code") if isinstance(error, dict) else None
    return {"code": code, "message": SENTENCES.get(str(code), FAILED)}
