"""The bare wire: pairing of commands and replies, errors, addresses, and a server that goes."""

import socket
from collections.abc import Iterator

import pytest

from app.redis import RedisGone, ReplyError, Wire, pack
from tests.app.events.parts import OwnRedis


@pytest.fixture
def wire(redis: str) -> Iterator[Wire]:
    opened = Wire(redis)
    yield opened
    opened.close()


def test_replies_come_in_the_order_of_the_commands(wire: Wire) -> None:
    replies = wire.call(("SET", "a", 1), ("INCR", "a"), ("GET", "a"), ("GET", "none"))
    assert replies == [b"OK", 2, b"2", None]


def test_values_are_bytes_as_they_are(wire: Wire) -> None:
    value = bytes(range(256)) * 1000
    assert wire.call(("SET", "a", value), ("GET", "a"))[1] == value


def test_an_error_is_raised_after_all_replies_are_read(wire: Wire) -> None:
    with pytest.raises(ReplyError):
        wire.call(("SET", "a", 1), ("LPUSH", "a", 1), ("INCR", "a"))
    assert wire.call(("GET", "a")) == [b"2"]


def test_replies_may_hold_errors(wire: Wire) -> None:
    packed = pack("SET", "a", 1) + pack("LPUSH", "a", 1) + pack("GET", "a")
    first, error, last = wire.replies(packed, 3)
    assert (first, last) == (b"OK", b"1")
    assert isinstance(error, ReplyError)


def test_a_server_that_does_not_answer_is_gone() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        wire = Wire(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(RedisGone):
            wire.call(("PING",))
        wire.close()


def test_a_server_that_closes_is_gone(redis: str) -> None:
    wire, other = Wire(redis), Wire(redis)
    [ident] = wire.call(("CLIENT", "ID"))
    other.call(("CLIENT", "KILL", "ID", ident))
    with pytest.raises(RedisGone):
        wire.call(("PING",))
    for one in (wire, other):
        one.close()


@pytest.mark.parametrize("url", ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1"])
def test_nobody_there_is_gone(url: str) -> None:
    with pytest.raises(RedisGone):
        Wire(url)


@pytest.fixture
def guarded(own_redis: OwnRedis) -> str:
    """The path of a Redis with the password `pass word` and a user `web`."""
    wire = own_redis.wire()
    wire.call(
        ("ACL", "SETUSER", "web", "on", ">web-secret", "~*", "&*", "+@all"),
        ("CONFIG", "SET", "requirepass", "pass word"),
    )
    wire.close()
    return own_redis.url.removeprefix("unix://").partition("?")[0]


def test_an_address_may_hold_user_password_and_database(guarded: str) -> None:
    first = Wire(f"unix://:pass%20word@{guarded}?db=3")
    second = Wire(f"unix://web:web-secret@{guarded}?db=3")
    zero = Wire(f"unix://web:web-secret@{guarded}")
    first.call(("SET", "a", 1))
    assert (second.call(("GET", "a")), zero.call(("GET", "a"))) == ([b"1"], [None])
    assert second.call(("ACL", "WHOAMI")) == [b"web"]
    for wire in (first, second, zero):
        wire.close()


@pytest.mark.parametrize("who", [":wrong", "web:wrong", "nobody:web-secret"])
def test_a_wrong_password_is_said(guarded: str, who: str) -> None:
    with pytest.raises(RedisGone, match="WRONGPASS"):
        Wire(f"unix://{who}@{guarded}")


def test_a_missing_password_is_said_with_the_first_reply(guarded: str) -> None:
    wire = Wire(f"unix://{guarded}")
    with pytest.raises(ReplyError, match="NOAUTH"):
        wire.call(("PING",))
    wire.close()
