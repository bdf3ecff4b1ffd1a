"""What may be asked, and that nothing else is."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound import (
    CLOSED,
    Guard,
    GuardedTransport,
    Refused,
    public,
    read_capped,
    resolve,
)
from tests.webhook_receiver import Receiver, certificate_for

NAME = "hooks.example.com"
PUBLIC = "93.184.215.14"


class Names:
    """Name servers that give each name its answers in turn, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers.get("answers", [])
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        at = min(len(self.asked), len(self.answers)) - 1
        return self.answers[at]


def names(*answers: list[str]) -> Names:
    return Names(answers=list(answers))


def guard(*answers: list[str], allow: tuple[str, ...] = ()) -> Guard:
    return Guard(allow, names(*answers) if answers else names([PUBLIC]))


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://HOOKS.Example.COM/In?a=B", "https://hooks.example.com/In?a=B"),
        ("https://hooks.example.com.:443/in", "https://hooks.example.com/in"),
        ("https://hooks.example.com:8443/in", "https://hooks.example.com:8443/in"),
        ("https://bücher.example/in", "https://xn--bcher-kva.example/in"),
        ("https://xn--bcher-kva.example/in", "https://xn--bcher-kva.example/in"),
        (f"https://{PUBLIC}/in", f"https://{PUBLIC}/in"),
        ("https://[2606:2800:21f::1]/in", "https://[2606:2800:21f::1]/in"),
    ],
)
def test_a_public_address_is_let_pass_in_one_spelling(text: str, spelled: str) -> None:
    target = guard().check(text)
    assert str(target.url) == spelled
    assert guard().check(spelled).url == target.url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https://",
        "https:///in",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:8080/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://user@hooks.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com\n/",
        "https://hooks example.com/",
        "https://hooks%2eexample.com/",
        "https://hooks..example.com/",
        "https://hooks.example.com../",
        f"https://{'a' * 64}.example.com/",
        f"https://{'.'.join(['a' * 60] * 5)}/",
        "https://[::1/",
        "https://[2606:2800:21f::1%25eth0]/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://0x/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://１２７.0.0.1/",
        "https://127.0.0.１/",
        "https://127。0。0。1/",
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://127.8.8.8/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://168.63.129.16/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fd00:ec2::254]/",
    ],
)
def test_what_is_no_public_https_address_is_refused_unasked(text: str) -> None:
    nobody = names([PUBLIC])
    with pytest.raises(Refused):
        Guard((), nobody).check(text)
    assert nobody.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
        "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1", "2001::1",
        "2001:0:7f00:1::", "2001:2::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
        "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_also_behind_a_name(address: str) -> None:
    assert not public(address)
    with pytest.raises(Refused, match="no public address"):
        guard([address]).check(f"https://{NAME}/")
    for both in ([PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(Refused, match="no public address"):
            guard(both).check(f"https://{NAME}/")


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
     "191.255.255.255", "223.255.255.255", "2001:200::1", "2606:4700::1111", "2a00:1450::1"],
)  # fmt: skip
def test_a_neighbour_of_what_is_closed_is_public(address: str) -> None:
    assert public(address)
    assert guard([address]).check(f"https://{NAME}/").addresses == (address,)


CLOSED_4 = [network for network in CLOSED if isinstance(network, IPv4Network)]


@given(st.ip_addresses(v=4))
def test_what_is_public_of_ipv4_is_global_and_unicast(address: IPv4Address) -> None:
    if public(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.sampled_from(CLOSED_4).flatmap(lambda network: st.ip_addresses(network=network)))
def test_no_way_to_write_a_closed_ipv4_address_in_ipv6_is_public(address: IPv4Address) -> None:
    low = int(address)
    for prefix in ("::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2001::"):
        assert not public(str(IPv6Address(int(IPv6Address(prefix)) | low)))
    assert not public(str(IPv6Address(0x2002 << 112 | low << 80)))
    assert not public(str(IPv6Address(0x20010000 << 96 | 0xFFFFFFFF ^ low)))


@given(st.ip_addresses(v=6))
def test_nothing_outside_the_assigned_ipv6_is_public(address: IPv6Address) -> None:
    if public(str(address)):
        assert address in IPv6Network("2000::/3")
        assert address.is_global


def test_all_addresses_are_handed_out_that_were_checked() -> None:
    found = guard([PUBLIC, "2606:2800:21f::1"]).check(f"https://{NAME}/")
    assert found.addresses == (PUBLIC, "2606:2800:21f::1")


def test_a_name_without_an_address_is_refused() -> None:
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    # As of a name that leads inside: which names are known there is nobody's to learn.
    for leads in (fails, names(["10.0.0.1"]), names([])):
        with pytest.raises(Refused) as told:
            Guard((), leads).check(f"https://{NAME}/")
        assert str(told.value) == "its host has no public address"
    with pytest.raises(Refused, match="no public address"):
        Guard((f"{NAME}:443",), fails).check(f"https://{NAME}/")


def test_the_system_resolves_names_and_localhost_stays_closed() -> None:
    assert "127.0.0.1" in resolve("localhost", 443)
    with pytest.raises(Refused, match="no public address"):
        Guard().check("https://localhost/")
    with pytest.raises(Refused, match="no public address"):
        Guard().check("https://does-not-exist.invalid/")


def test_what_is_allowed_may_be_private_and_plain_but_nothing_beside_it() -> None:
    lenient = guard(["127.0.0.1"], allow=("Localhost:9000", "[::1]:9000", "127.0.0.1:80"))
    assert lenient.check("http://localhost:9000/in").addresses == ("127.0.0.1",)
    assert lenient.check("https://LOCALHOST.:9000/in").addresses == ("127.0.0.1",)
    assert lenient.check("http://[::1]:9000/").addresses == ("::1",)
    assert lenient.check("http://127.0.0.1/").addresses == ("127.0.0.1",)
    for near in (
        "http://localhost:9001/", "http://localhost/", "https://localhost/",
        "http://127.0.0.1:9000/", "http://localhost.example.com:9000/", "http://[::1]/",
        "http://user@localhost:9000/", "ftp://localhost:9000/",
    ):  # fmt: skip
        with pytest.raises(Refused):
            lenient.check(near)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def secure() -> Iterator[Receiver]:
    with Receiver(certificate_for(NAME)) as running:
        yield running


def post(
    transport: GuardedTransport, url: str, timeout_s: float = 5
) -> tuple[httpx.Response, bytes]:
    extensions = {"timeout": httpx.Timeout(timeout_s).as_dict()}
    request = httpx.Request("POST", url, content=b"moon", extensions=extensions)
    response = transport.handle_request(request)
    try:
        return response, read_capped(response, 1000)
    finally:
        response.close()


def test_a_request_reaches_the_address_that_was_checked_under_its_own_name(
    receiver: Receiver,
) -> None:
    receiver.status, receiver.body = 200, b"pool"
    there = names(["127.0.0.1"])
    transport = GuardedTransport(Guard([f"{NAME}:{receiver.port}"], there))
    response, body = post(transport, f"http://{NAME.upper()}.:{receiver.port}/hook?a=1")
    assert (response.status_code, body) == (200, b"pool")
    [heard] = receiver.heard
    assert (heard.path, heard.body) == ("/hook?a=1", b"moon")
    assert heard.headers["host"] == f"{NAME}:{receiver.port}"
    assert there.asked == [(NAME, receiver.port)]


def test_a_name_that_moves_inside_between_two_requests_is_refused(receiver: Receiver) -> None:
    moving = names([PUBLIC], ["127.0.0.1"])
    checked = Guard((), moving)
    assert checked.check(f"https://{NAME}/").addresses == (PUBLIC,)
    with pytest.raises(Refused, match="no public address"):
        post(GuardedTransport(checked), f"https://{NAME}/")
    assert receiver.heard == []


def test_a_name_that_moves_inside_within_a_request_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError("nobody")

    def system(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up once more")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", system)
    moving = names([PUBLIC], ["127.0.0.1"])
    with pytest.raises(httpx.ConnectError):
        post(GuardedTransport(Guard((), moving)), f"https://{NAME}/")
    assert connected == [(PUBLIC, 443)]
    assert len(moving.asked) == 1


def test_the_next_address_is_tried_when_one_does_not_answer(receiver: Receiver) -> None:
    two = GuardedTransport(Guard([f"{NAME}:{receiver.port}"], names(["127.0.0.9", "127.0.0.1"])))
    response, _ = post(two, f"http://{NAME}:{receiver.port}/")
    assert response.status_code == 204


def test_a_certificate_is_verified_for_the_name_and_not_for_the_address(secure: Receiver) -> None:
    trusted = certificate_for(NAME).client()
    here = names(["127.0.0.1"])
    allow = [f"{NAME}:{secure.port}", f"other.example.com:{secure.port}"]
    transport = GuardedTransport(Guard(allow, here), trusted)
    response, _ = post(transport, f"https://{NAME}:{secure.port}/hook")
    assert response.status_code == 204
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        post(transport, f"https://other.example.com:{secure.port}/hook")
    assert len(secure.heard) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Receiver) -> None:
    transport = GuardedTransport(Guard([f"{NAME}:{secure.port}"], names(["127.0.0.1"])))
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        post(transport, f"https://{NAME}:{secure.port}/hook")
    assert secure.heard == []


def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        post(GuardedTransport(Guard([receiver.allow])), receiver.url)
        assert proxy.heard == []
    assert len(receiver.heard) == 1


def test_a_redirect_is_handed_back_and_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"Location": "http://127.0.0.1:1/"}
    response, _ = post(GuardedTransport(Guard([receiver.allow])), receiver.url)
    assert response.status_code == 307
    assert len(receiver.heard) == 1


def test_of_a_body_no_more_than_the_limit_is_read(receiver: Receiver) -> None:
    receiver.status, receiver.body = 200, b"x" * 5_000_000
    _, body = post(GuardedTransport(Guard([receiver.allow])), receiver.url)
    assert body == b"x" * 1000
