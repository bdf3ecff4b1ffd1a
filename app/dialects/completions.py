"""OpenAI's legacy text completions as chat completions, and back.

A prompt becomes one user message. What the answer is shown with is kept under `asked` in the
request: `echo`, `n`, and all `prompts` where there are more than one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_TOKENS = 16
"""What the legacy API answers with at most unless asked for more."""

ID_PREFIX = "cmpl-"
REASONS = frozenset({"stop", "length", "content_filter"})
_LEGACY = frozenset({"prompt", "suffix", "best_of", "echo", "logprobs"})


def chat_request(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The chat request for a text completion's fields; its `prompt` is a list of texts."""
    prompts = wanted["prompt"]
    chat = {name: value for name, value in wanted.items() if name not in _LEGACY}
    chat["messages"] = [{"role": "user", "content": prompts[0]}]
    chat["max_tokens"] = wanted.get("max_tokens") or MAX_TOKENS
    top = wanted.get("logprobs")
    if top is not None:
        chat["logprobs"] = True
        if top:
            chat["top_logprobs"] = top
    chat["asked"] = {"echo": wanted.get("echo") is True, "n": wanted.get("n") or 1}
    if len(prompts) > 1:
        chat["asked"]["prompts"] = prompts
    return chat


def prompts_of(request: Mapping[str, Any]) -> list[str]:
    """The prompts that a chat request of `chat_request` stands for."""
    several: list[str] = request["asked"].get("prompts") or [request["messages"][0]["content"]]
    return several


class Text:
    """The text of one choice under way. `before`: what is put in front of it, the prompt where it
    is to be echoed."""

    __slots__ = ("_before", "_length")

    def __init__(self, before: str = "") -> None:
        self._before, self._length = before, 0

    def choice(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        """The text choice for a chat choice, a chunk's or a whole one; None where it says nothing.
        Log probabilities are placed by the characters that came before."""
        said = choice.get("delta") or choice.get("message") or {}
        text = f"{self._before}{said.get('content') or said.get('refusal') or ''}"
        reason = choice.get("finish_reason")
        if not text and reason is None:
            return None
        logprobs = legacy_logprobs(choice.get("logprobs"), self._length + len(self._before))
        self._before, self._length = "", self._length + len(text)
        return {
            "text": text,
            "index": choice["index"],
            "logprobs": logprobs,
            "finish_reason": reason if reason is None or reason in REASONS else "stop",
        }


def texts_of(request: Mapping[str, Any], indexes: Iterable[int]) -> dict[int, Text]:
    """A `Text` for each choice of a request by its index: all choices of the first prompt come
    first, then those of the next."""
    prompts, asked = prompts_of(request), request["asked"]
    last = len(prompts) - 1
    return {
        index: Text(prompts[min(index // asked["n"], last)] if asked["echo"] else "")
        for index in indexes
    }


def legacy_logprobs(told: Mapping[str, Any] | None, start: int) -> dict[str, Any] | None:
    """Chat's log probabilities in the legacy shape: four lists, an entry a token; the first token
    begins at the character `start`. None where there are none."""
    entries = (told or {}).get("content")
    if not entries:
        return None
    offsets = []
    for entry in entries:
        offsets.append(start)
        start += len(entry["token"])
    tops = [
        {other["token"]: other["logprob"] for other in entry.get("top_logprobs") or ()}
        for entry in entries
    ]
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


def text_completion(chat: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """A whole chat completion as the text completion that `request` asked for."""
    texts = texts_of(request, (choice["index"] for choice in chat["choices"]))
    nothing = {"text": "", "logprobs": None, "finish_reason": None}
    choices = [
        texts[choice["index"]].choice(choice) or {**nothing, "index": choice["index"]}
        for choice in chat["choices"]
    ]
    return {
        **chat,
        "id": ID_PREFIX + chat["id"].removeprefix("chatcmpl-"),
        "object": "text_completion",
        "choices": choices,
    }
