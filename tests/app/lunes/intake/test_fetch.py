"""Fetching from a real server, within the bounds of the guard, of time and of size."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.lunes.extraction.blocks import Unreadable
from app.lunes.intake.fetch import REDIRECTS_MAX, Fetcher
from app.settings import Settings
from tests.page_server import Page, Pages
from tests.webhook_receiver import certificate_for

PRIVATE = "10.0.0.1"


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as running:
        yield running


def fetcher(pages: Pages, **more: Any) -> Fetcher:
    values = {"lune_allow": pages.allow, "body_limit": 10_000}
    return Fetcher(Settings.model_validate(values), **more)


def reason(fetch: Fetcher, url: str) -> str:
    with pytest.raises(Unreadable) as raised:
        fetch.fetch(url)
    assert raised.value.message.startswith("url: ")
    return raised.value.reason


def test_a_page_comes_with_what_its_server_says_of_it(pages: Pages) -> None:
    pages.put("/a.html", b"<p>The moon.", "text/html; charset=utf-8", ETag='"1"')
    found = fetcher(pages).fetch(pages.url("/a.html#part"))
    assert (found.changed, found.content, found.path) == (True, b"<p>The moon.", "/a.html")
    assert (found.content_type, found.etag) == ("text/html; charset=utf-8", '"1"')
    [(path, headers)] = pages.asked
    assert path == "/a.html"
    assert headers["user-agent"].startswith("Moonpool")
    assert headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & set(headers)


def test_what_is_as_it_was_does_not_come_again(pages: Pages) -> None:
    pages.put("/a", b"<p>The moon.", "text/html", ETag='"1"')
    found = fetcher(pages).fetch(pages.url("/a"), '"1"', "Sat, 21 Nov 2026 00:00:00 GMT")
    assert (found.changed, found.content) == (False, b"")
    assert "if-modified-since" not in pages.asked[0][1]
    assert fetcher(pages).fetch(pages.url("/a"), '"0"').changed
    dated = fetcher(pages).fetch(pages.url("/a"), None, "Sat, 21 Nov 2026 00:00:00 GMT")
    assert dated.changed
    assert pages.asked[-1][1]["if-modified-since"].startswith("Sat")


def test_redirects_are_followed_a_few_times_and_cookies_are_not_kept(pages: Pages) -> None:
    pages.put("/end", b"The moon.", "text/plain")
    for step in range(REDIRECTS_MAX):
        pages.redirect(f"/{step}", f"/{step + 1}" if step + 1 < REDIRECTS_MAX else "end", 307)
        pages.pages[f"/{step}"].headers["Set-Cookie"] = "a=b"
    assert fetcher(pages).fetch(pages.url("/0")).content == b"The moon."
    assert not any("cookie" in headers for _, headers in pages.asked)
    pages.redirect("/more", "/0")
    assert reason(fetcher(pages), pages.url("/more")) == "fetch_failed"
    pages.redirect("/nowhere", "")
    assert reason(fetcher(pages), pages.url("/nowhere")) == "fetch_failed"


@pytest.mark.parametrize(
    "to",
    [
        "https://10.0.0.1/", "http://127.0.0.1:9/", "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data", "file:///etc/passwd", "https://a:b@moon.example/",
        "https://moon.example:22/", "//0x7f.1/",
    ],
)  # fmt: skip
def test_a_redirect_to_what_may_not_be_asked_is_not_followed(pages: Pages, to: str) -> None:
    pages.redirect("/a", to)
    assert reason(fetcher(pages), pages.url("/a")) == "fetch_refused"
    assert [path for path, _ in pages.asked] == ["/a"]


def test_a_name_that_turns_to_this_machine_gains_nothing() -> None:
    """DNS rebinding: public when it is checked, 127.0.0.1 when it is asked."""
    certificate = certificate_for("moon.example")
    with Pages(certificate.server()) as pages:
        pages.put("/", b"secret", "text/plain")
        told: list[str] = []

        def resolver(host: str, port: int) -> list[str]:
            told.append(host)
            return ["93.184.216.34"] if len(told) == 1 else ["127.0.0.1"]

        fetch = Fetcher(Settings(), resolver=resolver, tls=certificate.client())
        assert fetch.check("https://moon.example/") == "https://moon.example/"
        assert reason(fetch, "https://moon.example/") == "fetch_refused"
        assert told == ["moon.example"] * 2
        assert pages.asked == []


def test_a_name_is_asked_at_the_address_that_was_checked() -> None:
    certificate = certificate_for("moon.example")
    with Pages(certificate.server()) as pages:
        pages.put("/", b"The moon.", "text/plain")
        settings = Settings(lune_allow=f"moon.example:{pages.port}")
        fetch = Fetcher(settings, resolver=lambda *_: ["127.0.0.1"], tls=certificate.client())
        found = fetch.fetch(f"https://moon.example:{pages.port}/")
        assert found.content == b"The moon."
        assert pages.asked[0][1]["host"] == f"moon.example:{pages.port}"


@pytest.mark.parametrize("status", [204, 206, 401, 404, 500])
def test_an_error_of_the_server_is_told(pages: Pages, status: int) -> None:
    pages.pages["/a"] = Page(b"", status)
    with pytest.raises(Unreadable, match=f"127.0.0.1 answered {status}"):
        fetcher(pages).fetch(pages.url("/a"))


def test_what_is_too_large_is_not_read_to_its_end(pages: Pages) -> None:
    wrote: list[int] = []

    def endless(out: Any) -> None:
        for _ in range(10_000):
            out.write(b"x" * 1000)
            wrote.append(1000)

    pages.pages["/a"] = Page(write=endless)
    assert reason(fetcher(pages), pages.url("/a")) == "too_large"
    pages.put("/b", b"x" * 10_001, "text/plain")
    assert reason(fetcher(pages), pages.url("/b")) == "too_large"
    pages.put("/c", b"x" * 10_000, "text/plain")
    assert len(fetcher(pages).fetch(pages.url("/c")).content) == 10_000


def test_what_comes_too_slowly_is_given_up(pages: Pages) -> None:
    def drip(out: Any) -> None:
        for _ in range(400):
            out.write(b"x")
            out.flush()
            time.sleep(0.05)

    pages.pages["/a"] = Page(write=drip)
    assert reason(fetcher(pages, timeout_s=0.5), pages.url("/a")) == "fetch_failed"


def test_what_is_packed_unasked_is_refused(pages: Pages) -> None:
    pages.put("/a", b"x", "text/plain", Content_Encoding="gzip")
    assert reason(fetcher(pages), pages.url("/a")) == "fetch_failed"


def test_a_server_that_is_not_there_is_told(pages: Pages) -> None:
    fetch = fetcher(pages)
    url = pages.url("/a")
    pages.__exit__()
    assert reason(fetch, url) == "fetch_failed"
    pages.__enter__()
