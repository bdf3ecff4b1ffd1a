"""Requests to addresses that a tenant chose, kept out of the network that we stand in (OWASP API
Security 2023, API7: server side request forgery).

A host is looked up once, every address found is checked, and the connection goes to one that was
checked: a name that changes its address between check and use (DNS rebinding) gains nothing.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import gevent
import httpx

PORTS = (443, 8443)
RESOLVE_TIMEOUT_S = 5.0
TRIES_MAX = 4
"""Addresses of a host that are tried, one after another."""

Resolver = Callable[[str, int], list[str]]
"""The addresses of a host name; raises OSError if there are none."""

CLOSED = tuple(ip_network(text) for text in (
    "0.0.0.0/8",          # this network
    "10.0.0.0/8",         # private
    "100.64.0.0/10",      # shared by carriers (CGNAT)
    "127.0.0.0/8",        # loopback
    "168.63.129.16/32",   # Azure's host, which looks public
    "169.254.0.0/16",     # link-local, and the metadata of clouds
    "172.16.0.0/12",      # private
    "192.0.0.0/24",       # IETF protocol assignments
    "192.0.2.0/24",       # documentation
    "192.88.99.0/24",     # 6to4 relays
    "192.168.0.0/16",     # private
    "198.18.0.0/15",      # benchmarking
    "198.51.100.0/24",    # documentation
    "203.0.113.0/24",     # documentation
    "224.0.0.0/4",        # multicast
    "240.0.0.0/4",        # reserved, and broadcast
    "::/3",               # unspecified, loopback, IPv4-compatible, IPv4-mapped ::ffff:0:0/96,
                          # NAT64 64:ff9b::/96 and 64:ff9b:1::/48, discard 100::/64
    "2001::/23",          # IETF protocol assignments, Teredo 2001::/32 and benchmarking among them
    "2001:db8::/32",      # documentation
    "2002::/16",          # 6to4, which holds an IPv4 address
    "3fff::/20",          # documentation
    "4000::/2",           # not assigned; SRv6 5f00::/16
    "8000::/1",           # not assigned; unique local fc00::/7, link-local fe80::/10, site-local
                          # fec0::/10, multicast ff00::/8
))  # fmt: skip
"""What no tenant may reach: IANA's special-purpose registries (RFC 6890 and what came since), and
all of IPv6 outside 2000::/3, which alone is assigned. `ipaddress.is_global` is not enough: it takes
addresses that hold an IPv4 address, and multicast ones, for public."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Refused(Exception):
    """An address that may not be asked. The message is fit for the tenant."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: the URL in its one spelling, and the addresses that were checked."""

    url: httpx.URL
    addresses: tuple[str, ...]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name as the system finds them. Raises OSError."""
    with gevent.Timeout(RESOLVE_TIMEOUT_S, TimeoutError("the name servers do not answer")):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def public(address: str) -> bool:
    """Whether an address is none of CLOSED's."""
    at = ip_address(address.partition("%")[0])
    return not any(at in network for network in CLOSED if network.version == at.version)


class Guard:
    """Decides what may be asked: https on PORTS at public addresses, and whatever `allow` names as
    `host:port`, also over plain http."""

    def __init__(self, allow: Iterable[str] = (), resolver: Resolver = resolve) -> None:
        self._allow = frozenset(entry.lower() for entry in allow)
        self._resolve = resolver

    def check(self, text: str) -> Target:
        """Where `text` leads. Raises Refused."""
        url = _parsed(text)
        host = url.raw_host.decode()
        port = url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]
        allowed = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") in self._allow
        if not allowed and url.scheme != "https":
            raise Refused("it must begin with https://")
        if not allowed and port not in PORTS:
            raise Refused(f"its port must be one of {', '.join(map(str, PORTS))}")
        addresses = [host] if _is_address(host) else self._found(host, port)
        # The same for a name that leads nowhere and one that leads inside, so that nobody learns
        # which names our network knows.
        if not addresses or not (allowed or all(public(address) for address in addresses)):
            raise Refused("its host has no public address")
        return Target(url, tuple(addresses))

    def _found(self, host: str, port: int) -> list[str]:
        try:
            return self._resolve(host, port)
        except (OSError, UnicodeError):
            return []


def _parsed(text: str) -> httpx.URL:
    """The URL in its one spelling; httpx parses it here, and nobody parses it again."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise Refused("it is not a URL that can be read") from None
    if url.scheme not in _DEFAULT_PORTS:
        raise Refused("it must begin with https://")
    if url.userinfo or url.fragment:
        raise Refused("it must have neither a user nor a fragment")
    host = url.raw_host.decode().removesuffix(".")
    if not _is_address(host):
        # A last part that is a number makes old resolvers read an address: 127.1, 0x7f.1.
        if _NAME.fullmatch(host) is None or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise Refused("its host is not a name or an address")
        if len(host) > 253:
            raise Refused("its host is too long")
    return url.copy_with(host=host)


def _is_address(host: str) -> bool:
    try:
        return "%" not in host and bool(ip_address(host))
    except ValueError:
        return False


class GuardedTransport(httpx.BaseTransport):
    """Sends what a guard lets pass, each time it is sent. A transport by itself follows no
    redirects, keeps no cookies and reads no proxies from the environment."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        # A kept connection would be found again by its address alone, although its certificate was
        # checked for the name of another.
        self._inner = httpx.HTTPTransport(
            verify=tls or ssl.create_default_context(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request to a checked address; certificates are verified for the host's name.
        Raises Refused and httpx.TransportError."""
        target = self._guard.check(str(request.url))
        failed: httpx.TransportError | None = None
        for address in target.addresses[:TRIES_MAX]:
            try:
                return self._inner.handle_request(_addressed(request, target, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    def close(self) -> None:
        self._inner.close()


def _addressed(request: httpx.Request, target: Target, address: str) -> httpx.Request:
    headers = request.headers.copy()
    headers["Host"] = target.url.netloc.decode()
    return httpx.Request(
        request.method,
        target.url.copy_with(host=address),
        headers=headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": target.url.raw_host.decode()},
    )


def read_capped(response: httpx.Response, limit: int) -> bytes:
    """At most `limit` bytes of a body, as they came: a compressed one could unfold to any size.
    Raises httpx.TransportError."""
    body = b""
    for part in response.iter_raw():
        body += part
        if len(body) >= limit:
            break
    return body[:limit]
