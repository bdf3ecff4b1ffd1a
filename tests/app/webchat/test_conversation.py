"""What the next turn asks, and what a page is shown."""

from typing import Any

import orjson

from app.webchat.conversation import next_request, references, shown
from app.webchat.model import LOST_S, Turn

FIRST = {
    "model": "m",
    "stream": True,
    "tools": [{"type": "function"}],
    "asked": {"router": {}},
    "metadata": {"a": "b"},
    "extra_body": {"session_id": "s", "include_web_chat": True},
    "messages": [{"role": "system", "content": "secret"}, {"role": "user", "content": "one"}],
}


def answer(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return {"choices": [{"index": 0, "message": message}], **more}


def turn(number: int, state: str | None = "completed", text: str = "", **more: Any) -> Turn:
    given = {
        "age_s": 0.0,
        "deleted": False,
        "request": orjson.dumps(FIRST).decode() if number == 0 else None,
        "said": None if number == 0 else f"said {number}",
        "body": answer(text) if text else None,
        "error": None,
        **more,
    }
    return Turn(number=number, job_id=f"job_{number}", state=state, **given)


def test_a_turn_asks_with_all_that_was_said_and_the_fields_of_the_first_request() -> None:
    turns = [
        turn(0, text="first"),
        turn(1, "failed"),
        turn(2, text="second"),
        turn(3, "cancelled", text="half"),
        turn(4, "cancelled"),
    ]
    assert next_request(turns, "more") == {
        "model": "m",
        "metadata": {"a": "b"},
        "session_id": "s",
        "messages": [
            {"role": "system", "content": "secret"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "first"},
            {"role": "user", "content": "said 2"},
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": "said 3"},
            {"role": "assistant", "content": "half"},
            {"role": "user", "content": "more"},
        ],
    }


def test_a_page_is_shown_what_was_said_and_no_system_message() -> None:
    told = shown([turn(0, text="first"), turn(1, "failed"), turn(2, "running")])
    assert [(m["role"], m.get("text"), m.get("status")) for m in told] == [
        ("user", "one", None),
        ("assistant", "first", "completed"),
        ("user", "said 2", None),
        ("assistant", "", "in_progress"),
    ]
    assert "secret" not in str(told)


def test_a_failure_is_shown_while_it_is_the_last_and_without_the_names_of_providers() -> None:
    error = {"code": "all_providers_failed", "message": "openai: 503 at https://inside"}
    last = shown([turn(0, text="first"), turn(1, "failed", error=error)])[-1]
    assert last["status"] == "failed"
    assert last["error"]["message"] == "The answer did not come."
    assert "inside" not in str(last)


def test_a_turn_that_was_never_admitted_is_shown_for_a_minute() -> None:
    young, old = turn(1, None), turn(1, None, age_s=LOST_S + 1)
    assert [m["role"] for m in shown([turn(0, text="a"), young])][-2:] == ["user", "assistant"]
    assert [m["role"] for m in shown([turn(0, text="a"), old])] == ["user", "assistant"]
    assert (young.open, old.open) == (True, False)


def test_what_was_deleted_is_said_to_be() -> None:
    told = shown([turn(0, deleted=True, request=""), turn(1, deleted=True, said=None)])
    assert told == [{"role": "deleted", "turn": 0}, {"role": "deleted", "turn": 1}]


def citation(start: int, end: int, url: str, title: str = "") -> dict[str, Any]:
    cited = {"start_index": start, "end_index": end, "url": url, "title": title}
    return {"type": "url_citation", "url_citation": cited}


def test_sources_have_the_numbers_that_the_text_cites_them_by() -> None:
    text = "🌙 far [2], and old [1, 3] [2]. See https://d.example"
    notes = [
        citation(6, 9, "https://b.example", "B"),
        citation(19, 25, "https://a.example", "A"),
        citation(19, 25, "https://c.example", "C"),
        citation(26, 29, "https://b.example", "B"),
        citation(35, 52, "https://d.example", "D"),
    ]
    assert [text[n["url_citation"]["start_index"] :][:3] for n in notes] == [
        "[2]", "[1,", "[1,", "[2]", "htt",
    ]  # fmt: skip
    body = answer(
        text,
        message={"annotations": notes},
        url_references=["https://b.example", "https://e.example"],
    )
    assert [(one["number"], one["url"]) for one in references(body)] == [
        (2, "https://b.example"),
        (1, "https://a.example"),
        (3, "https://c.example"),
        (None, "https://d.example"),
        (None, "https://e.example"),
    ]
