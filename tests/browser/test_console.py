"""The console's page of the router in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from app.accounts.store import create_key
from app.accounts.users import create_user, hash_password
from app.db.connect import connect
from tests.browser.colours import contrast, lightness
from tests.browser.conftest import WAIT_MS, Tab
from tests.browser.line import Line
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("browser")
expect.set_options(timeout=WAIT_MS)
KEPT = "sessionStorage.getItem('moonpool.console')"
PASSWORD = "a long enough password"


@pytest.fixture
def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.port}/console"


@pytest.fixture
def tenant_id(stack: Stack) -> str:
    with stack.client() as client:
        return str(client.get("/me").json()["tenant"]["id"])


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")


def is_drawn(page: Page) -> None:
    expect(page.locator("#router")).to_be_visible()
    page.wait_for_function("document.getElementById('picture').naturalWidth > 0")
    expect(page.locator("#line")).to_have_text("")


def test_a_key_shows_the_picture_the_models_and_the_profiles(
    tab: Tab, stack: Stack, url: str
) -> None:
    page = tab(url)
    sign_in(page, stack.key)
    is_drawn(page)
    picture = page.get_by_role("img", name="The best single model, gpt-4o, is expected")
    expect(picture).to_be_visible()
    with stack.client() as client:
        told = client.get("/router/profiles/active/pareto").json()
    ranked = sorted(told["models"], key=lambda one: -one["expected_quality"])
    rows = page.locator("#models tr")
    expect(rows.locator("th")).to_have_text([one["model"] for one in ranked])
    first = rows.first.locator("td").all_inner_texts()
    assert first[:2] == [f"{100 * ranked[0]['expected_quality']:.1f}%", "$4.38"]
    assert first[-1] == "no"
    expect(page.locator("#models-note")).to_contain_text("None of these models can be called here")
    expect(page.locator("#profiles tr")).to_contain_text([told["version"]])
    expect(page.get_by_role("button", name=f"Show {told['version']}")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_a_key_is_kept_by_its_tab_until_it_signs_out(tab: Tab, stack: Stack, url: str) -> None:
    page = tab(url)
    sign_in(page, stack.key)
    is_drawn(page)
    page.reload()
    is_drawn(page)
    assert page.evaluate(KEPT) == stack.key
    assert page.context.cookies() == []
    other = tab(url, beside=page)
    expect(other.locator("#sign-in")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#router")).to_be_hidden()
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate(KEPT) is None
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_what_is_wrong_with_a_key_is_said(tab: Tab, stack: Stack, url: str, tenant_id: str) -> None:
    page = tab(url)
    alert = page.get_by_role("alert")
    for wrong, why in (("pk_live_wrong", "Invalid API key"), ("schlüssel", "This is no API key")):
        sign_in(page, wrong)
        expect(alert).to_contain_text(why)
        expect(page.get_by_label("API key")).to_have_value(wrong)
    assert page.evaluate(KEPT) is None
    with connect(stack.database_url) as connection:
        poor = create_key(connection, tenant_id, "poor", scopes=["billing"])
    sign_in(page, poor.key)
    expect(alert).to_contain_text("lacks the scope 'inference'")
    expect(page.locator("#router")).to_be_hidden()
    page.get_by_role("button", name="Sign out").click()
    expect(alert).to_be_hidden()
    sign_in(page, stack.key)
    is_drawn(page)


def test_a_server_that_is_away_is_asked_again(tab: Tab, stack: Stack, line: Line, url: str) -> None:
    page = tab(url.replace(f":{stack.port}/", f":{line.port}/"))
    expect(page.locator("#sign-in")).to_be_visible()
    line.cut()
    sign_in(page, stack.key)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    line.mend()
    page.get_by_role("button", name="Try again").click()
    is_drawn(page)
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_user_signs_in_by_keyboard_and_the_session_ends_with_signing_out(
    tab: Tab, stack: Stack, url: str, tenant_id: str
) -> None:
    with connect(stack.database_url) as connection:
        email = "console@example.com"
        create_user(connection, tenant_id, email, "owner", hash_password(PASSWORD))
    page = tab(url)
    expect(page.get_by_label("API key")).to_be_focused()
    for key in ("Tab", "Tab", "Enter", "Tab"):
        page.keyboard.press(key)
    expect(page.get_by_label("E-mail")).to_be_focused()
    ring = page.get_by_label("E-mail").evaluate("e => getComputedStyle(e).outlineStyle")
    assert ring == "solid"
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    is_drawn(page)
    expect(page.locator("#figure-head")).to_be_focused()
    expect(page.locator("#who")).to_have_text(email)
    for wanted in ("#picture-frame", "#profiles button"):
        page.keyboard.press("Tab")
        expect(page.locator(wanted)).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    expect(page.locator("#sign-out")).to_be_focused()
    with page.expect_response("**/v1/sessions/current") as told:
        page.keyboard.press("Enter")
    assert told.value.json() == {"object": "session", "ended": True}
    expect(page.locator("#sign-in")).to_be_visible()


def test_on_a_phone_nothing_scrolls_sideways_but_the_picture(
    tab: Tab, stack: Stack, url: str
) -> None:
    page = tab(url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    sign_in(page, stack.key)
    is_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    frame = page.locator("#picture-frame")
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth && e.clientWidth <= 328")
    for table in page.locator("table").all():
        assert table.evaluate("e => e.getBoundingClientRect().right") <= 344


def test_in_the_dark_the_page_is_dark_and_can_be_read(tab: Tab, stack: Stack, url: str) -> None:
    page = tab(url, color_scheme="dark")
    sign_in(page, stack.key)
    is_drawn(page)
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert lightness(paper) < 0.05
    for part, least in (("#gist", 7), ("#models td", 4.5), ("figcaption", 4.5)):
        ink = page.locator(part).first.evaluate("e => getComputedStyle(e).color")
        assert contrast(paper, ink) >= least
