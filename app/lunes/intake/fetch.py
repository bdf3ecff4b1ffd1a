"""Fetching a document from the address that its tenant gave: within the guard's bounds at every
step, and within bounds of time and size."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gevent
import httpx

from app.lunes.extraction.blocks import Unreadable
from app.outbound import Guard, GuardedTransport, Refused, Resolver, resolve
from app.settings import Settings, listed

TIMEOUT_S = 30.0
"""For all of it, redirects too."""

STEP_S = 10.0
"""For one connection, or the next bytes."""

REDIRECTS_MAX = 5
REDIRECTS = frozenset((301, 302, 303, 307, 308))
AGENT = "Moonpool (knowledge base)"
ACCEPT = "text/html, text/markdown, text/plain, application/pdf, text/*;q=0.9, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address gave. `changed` is False for what is as it was, and has no content then.
    `path` is that of the last address, whose ending may tell the form."""

    changed: bool
    content: bytes
    content_type: str
    path: str
    etag: str | None
    last_modified: str | None


class Fetcher:
    """Fetches documents of at most `limit` bytes. It keeps no cookies, and no connections."""

    def __init__(
        self, settings: Settings, *, resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self._guard = Guard(listed(settings.lune_allow), resolver)
        self._tls, self._timeout_s = tls, timeout_s
        self._limit = settings.body_limit

    def check(self, url: str) -> str:
        """A URL in its one spelling, without a fragment. Raises Refused for one that may not be
        asked."""
        return str(self._guard.check(_bare(url)).url)

    def fetch(
        self, url: str, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched:  # fmt: skip
        """What stands at a URL, unless it is as it was when it was told `etag` or `last_modified`
        (RFC 9110, section 13). Raises Unreadable."""
        until = time.monotonic() + self._timeout_s
        given = {"If-None-Match": etag, "If-Modified-Since": None if etag else last_modified}
        conditions = {name: value for name, value in given.items() if value is not None}
        with _told(), gevent.Timeout(self._timeout_s, _late(self._timeout_s)):
            return self._follow(url, conditions, until)

    def _follow(self, url: str, conditions: dict[str, str], until: float) -> Fetched:
        at = httpx.URL(_bare(url))
        transport = GuardedTransport(self._guard, self._tls)
        try:
            for _ in range(REDIRECTS_MAX + 1):
                response = transport.handle_request(_request(at, conditions, until))
                try:
                    if response.status_code not in REDIRECTS:
                        return self._answer(at, response, until)
                    to = response.headers.get("Location")
                finally:
                    response.close()
                if not to:
                    raise _failed(f"{at.host} redirects to nowhere")
                at = httpx.URL(_bare(str(at.join(to))))
        finally:
            transport.close()
        raise _failed(f"it redirects more than {REDIRECTS_MAX} times")

    def _answer(self, at: httpx.URL, response: httpx.Response, until: float) -> Fetched:
        headers, status = response.headers, response.status_code
        told = (headers.get("ETag"), headers.get("Last-Modified"))
        if status == 304:
            return Fetched(False, b"", "", at.path, *told)
        if status != 200:
            raise _failed(f"{at.host} answered {status}")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise _failed(f"{at.host} sent it compressed, though not asked to")
        content = self._body(response, until)
        return Fetched(True, content, headers.get("Content-Type", ""), at.path, *told)

    def _body(self, response: httpx.Response, until: float) -> bytes:
        parts, length = [], 0
        for part in response.iter_raw():
            parts.append(part)
            length += len(part)
            if length > self._limit:
                raise Unreadable("too_large", f"url: there are over {self._limit} bytes.")
            if time.monotonic() > until:
                raise _late(self._timeout_s)
        return b"".join(parts)


def _request(at: httpx.URL, conditions: dict[str, str], until: float) -> httpx.Request:
    left = max(0.1, min(STEP_S, until - time.monotonic()))
    return httpx.Request(
        "GET",
        at,
        headers={
            "User-Agent": AGENT,
            "Accept": ACCEPT,
            "Accept-Encoding": "identity",
            "Connection": "close",
            **conditions,
        },
        extensions={"timeout": httpx.Timeout(left).as_dict()},
    )


@contextmanager
def _told() -> Iterator[None]:
    """Tells whatever went wrong as it may be told to the tenant."""
    try:
        yield
    except Refused as refused:
        raise Unreadable("fetch_refused", f"url: {refused}.") from None
    except httpx.InvalidURL:
        raise Unreadable("fetch_refused", "url: it is not a URL that can be read.") from None
    except httpx.TimeoutException:
        raise _failed("it does not answer in time") from None
    except (httpx.TransportError, UnicodeError) as error:
        raise _failed(f"{type(error).__name__}: {error}"[:200]) from None


def _failed(how: str) -> Unreadable:
    return Unreadable("fetch_failed", f"url: {how}.")


def _late(timeout_s: float) -> Unreadable:
    return _failed(f"it did not come within {timeout_s:g} seconds")


def _bare(url: str) -> str:
    return url.partition("#")[0]
