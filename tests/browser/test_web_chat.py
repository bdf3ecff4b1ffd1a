"""The page of a web chat in a real browser."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from app.db.connect import connect
from tests.browser.colours import contrast, lightness
from tests.browser.conftest import WAIT_MS, Tab
from tests.browser.line import Line
from tests.browser.played import FIRST, Model
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("browser")
expect.set_options(timeout=WAIT_MS)

HOSTILE = (
    '<script>window.harmed = 1</script><img src=x onerror="window.harmed = 2">\n\n'
    "[here](javascript:window.harmed=3) and [there](https://example.com/?a=1&b=<b>)\n\n"
    "```html\n<svg onload='window.harmed = 4'>\n```"
)
Begin = Callable[..., str]


@pytest.fixture
def begin(stack: Stack, model: Model) -> Begin:
    """Asks for a completion with these fields; the address of its web chat."""

    def ask(**fields: Any) -> str:
        said = [{"role": "user", "content": "Tell me of the moon."}]
        body = {"model": "moon", "messages": said, "include_web_chat": True, **fields}
        with stack.client() as client:
            answer = client.post("/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["web_chat"]["url"])

    return ask


def say(page: Page, text: str) -> None:
    expect(page.locator("#said")).to_be_enabled()
    page.locator("#said").fill(text)
    page.keyboard.press("Enter")


def answer(page: Page) -> Locator:
    return page.locator("#log > article.assistant").last.locator(".text")


def is_on_its_way(page: Page, text: str) -> None:
    expect(answer(page)).to_have_text(text)
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#log")).to_have_attribute("aria-busy", "true")


def is_whole(page: Page, text: str) -> None:
    expect(page.locator("#stop")).to_be_hidden()
    expect(answer(page)).to_have_text(text)
    expect(page.locator("#log")).to_have_attribute("aria-busy", "false")


def test_the_conversation_goes_on_in_every_tab_as_it_streams(
    begin: Begin, tab: Tab, model: Model
) -> None:
    url = begin()
    page = tab(url)
    expect(page.locator(".message.user .said")).to_have_text("Tell me of the moon.")
    other = tab(url, beside=page)
    say(page, "And the tide?")
    model.says("The tide ", "comes ")
    for one in (page, other):
        is_on_its_way(one, "The tide comes")
    model.says("and ")
    for one in (page, other):
        is_on_its_way(one, "The tide comes and")
    model.ends("goes.")
    for one in (page, other):
        is_whole(one, "The tide comes and goes.")
        assert one.locator(".said").all_inner_texts() == ["Tell me of the moon.", "And the tide?"]
    assert model.heard[-1]["messages"] == [
        {"role": "user", "content": "Tell me of the moon."},
        {"role": "assistant", "content": FIRST},
        {"role": "user", "content": "And the tide?"},
    ]


def test_a_reload_in_mid_stream_goes_on_where_it_was(begin: Begin, tab: Tab, model: Model) -> None:
    page = tab(begin())
    say(page, "Go on.")
    model.says("One, ", "two, ")
    is_on_its_way(page, "One, two,")
    page.reload()
    is_on_its_way(page, "One, two,")
    model.says("three, ")
    is_on_its_way(page, "One, two, three,")
    model.ends("four.")
    is_whole(page, "One, two, three, four.")
    assert page.locator(".message.user").count() == 2


def test_a_connection_that_is_cut_in_mid_stream_is_mended_without_a_hole(
    begin: Begin, tab: Tab, line: Line, stack: Stack, model: Model
) -> None:
    page = tab(begin().replace(f":{stack.port}/", f":{line.port}/"))
    say(page, "Go on.")
    model.says("One, ", "two, ")
    is_on_its_way(page, "One, two,")
    line.cut()
    expect(page.locator("#line")).to_have_text("Connection lost. Reconnecting…")
    model.says("three, ")
    is_on_its_way(page, "One, two,")
    line.mend()
    is_on_its_way(page, "One, two, three,")
    expect(page.locator("#line")).to_have_text("")
    model.ends("four.")
    is_whole(page, "One, two, three, four.")


def test_a_message_that_was_not_sent_is_not_lost_and_not_sent_twice(
    begin: Begin, tab: Tab, line: Line, stack: Stack, model: Model
) -> None:
    page = tab(begin().replace(f":{stack.port}/", f":{line.port}/"))
    expect(page.locator("#said")).to_be_enabled()
    line.cut()
    say(page, "Is anybody there?")
    expect(page.locator("#trouble")).to_contain_text("was not sent")
    expect(page.locator("#said")).to_have_value("Is anybody there?")
    line.mend()
    page.locator("#retry").dblclick()
    model.ends("Yes.")
    is_whole(page, "Yes.")
    assert page.locator(".said").all_inner_texts()[1:] == ["Is anybody there?"]
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_keyboard_is_enough(begin: Begin, tab: Tab, model: Model) -> None:
    page = tab(begin())
    expect(page.locator("#said")).to_be_focused()
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    expect(page.locator("#said")).to_have_value("first line\nsecond line")
    page.keyboard.press("Tab")
    expect(page.locator("#send")).to_be_focused()
    ring = page.locator("#send").evaluate("e => getComputedStyle(e).outlineStyle")
    assert ring == "solid"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    model.says("Never ", "ending ")
    is_on_its_way(page, "Never ending")
    expect(page.locator(".said").last).to_have_text("first line\nsecond line")
    expect(page.locator("#said")).to_be_focused()
    page.keyboard.press("Escape")
    is_whole(page, "Never ending")
    expect(page.locator(".message").last).to_contain_text("Stopped.")
    model.falls_silent()
    page.keyboard.type("and on")
    page.keyboard.press("Enter")
    model.ends("Yes.")
    is_whole(page, "Yes.")


def test_a_phone_in_the_dark_shows_long_code_without_scrolling_sideways(
    begin: Begin, tab: Tab
) -> None:
    said = [
        {"role": "user", "content": "w" * 400},
        {"role": "assistant", "content": "# Code\n\n```py\n" + "x = " + "1 + " * 200 + "1\n```\n"},
        {"role": "user", "content": "Thanks."},
    ]
    page = tab(
        begin(messages=said), viewport={"width": 390, "height": 844}, color_scheme="dark",
        is_mobile=True, has_touch=True,
    )  # fmt: skip
    expect(page.locator("pre code")).to_contain_text("1 + 1")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == page.evaluate("window.innerWidth") == 390
    assert page.locator("pre").evaluate("e => e.scrollWidth > e.clientWidth")
    assert (
        float(page.locator("#said").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 16
    )
    paper, ink = page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor,"
        " getComputedStyle(document.documentElement).color]"
    )
    assert contrast(paper, ink) >= 7
    assert lightness(paper) < 0.05
    assert contrast(
        paper, page.locator("#ends").evaluate("e => getComputedStyle(e).color")
    ) >= 4.5  # fmt: skip


def test_sources_and_feelings_are_shown(begin: Begin, tab: Tab, stack: Stack) -> None:
    url = begin(emotion_tracking=True, include_references=True, session_id="page")
    text = "It is far [2], and it is old."
    note = {"start_index": 10, "end_index": 13, "url": "https://moon.example/far", "title": "Far"}
    with connect(stack.database_url) as connection:
        [[job_id, body]] = connection.execute(
            "SELECT r.id, r.body FROM result AS r JOIN web_chat AS w ON w.job_id = r.id "
            "ORDER BY w.id DESC LIMIT 1"
        ).fetchall()
        told = json.loads(body)
        told["choices"][0]["message"] |= {
            "content": text, "annotations": [{"type": "url_citation", "url_citation": note}],
        }  # fmt: skip
        told["url_references"] = [note["url"], "javascript:alert(1)"]
        connection.execute("UPDATE result SET body = %s WHERE id = %s", (json.dumps(told), job_id))
    page = tab(url)
    cited = page.locator(".cites a")
    expect(cited).to_have_text("2")
    assert cited.get_attribute("href") == note["url"]
    assert "noopener" in (cited.get_attribute("rel") or "")
    expect(page.locator(".sources li")).to_have_text(["2Farmoon.example", "–javascript:alert(1)"])
    assert page.locator(".sources a").count() == 1
    feeling = page.locator(".feeling")
    expect(feeling.locator(".word")).to_have_text(told["emotion_state"]["primary_emotion"])
    assert feeling.locator("[role=img]").count() == 3
    expect(feeling.locator("[role=img]").first).to_have_attribute(
        "aria-label", f"pleasure {told['emotion_state']['valence']:.2f}, of -1 to 1"
    )


def test_what_a_model_writes_is_text_and_nothing_else(begin: Begin, tab: Tab, model: Model) -> None:
    model.first = HOSTILE
    page = tab(begin())
    say(page, HOSTILE)
    model.says(HOSTILE)
    log = page.locator("#log")
    for _ in ("on its way", "whole"):
        code = log.locator("pre code")
        expect(code).to_have_text(["<svg onload='window.harmed = 4'>"] * 2)
        assert log.locator("script, img, svg, b").count() == 0
        assert {a.get_attribute("href") for a in log.locator("a").all()} == {
            "https://example.com/?a=1&b=%3Cb%3E"
        }
        if model.streams:
            model.ends()
        expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator(".said").last).to_contain_text("<script>")
    assert page.evaluate("window.harmed") is None


def test_a_budget_that_is_used_up_is_a_sentence_and_the_message_is_not_lost(
    begin: Begin, tab: Tab, stack: Stack, model: Model
) -> None:
    page = tab(begin())

    def budget(nanos: int) -> None:
        with connect(stack.database_url) as connection:
            connection.execute(
                "UPDATE web_chat SET budget = %s WHERE id = (SELECT max(id) FROM web_chat)",
                (nanos,),
            )

    budget(0)
    say(page, "Is there any left?")
    expect(page.locator("#trouble-text")).to_have_text(
        "The budget of this conversation is used up."
    )
    expect(page.locator("#said")).to_have_value("Is there any left?")
    assert page.locator(".message").count() == 2
    budget(10**9)
    page.locator("#retry").click()
    model.ends("There is.")
    is_whole(page, "There is.")
    assert page.locator(".message").count() == 4
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_link_that_has_ended_says_so(begin: Begin, tab: Tab, stack: Stack) -> None:
    url = begin()
    page = tab(url)
    expect(page.locator("#said")).to_be_enabled()
    with stack.client() as client:
        [newest] = client.get("/web_chats?limit=1").json()["data"]
        assert client.delete(f"/web_chats/{newest['id']}").status_code == 200
    say(page, "Still there?")
    expect(page.locator("#line")).to_contain_text("has ended")
    expect(page.locator("#said")).to_be_disabled()
    page.reload()
    expect(page.locator("h1")).to_have_text("No conversation here")
    assert url.rpartition("/")[2] not in stack.log.read_text()
