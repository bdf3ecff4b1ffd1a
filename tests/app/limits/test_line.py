"""The connection under the limits: whose reply is whose, and nobody waits for ever."""

from collections.abc import Iterator

import gevent
import pytest

from app.limits import line as module
from app.limits.line import GROUP_MAX, Line
from app.redis import RedisGone, Wire, pack
from tests.app.events.parts import until


@pytest.fixture
def line(redis: str, gevent_sockets: None) -> Iterator[Line]:
    made = Line(redis, "return ARGV[1]", on_back=lambda: None)
    yield made
    made.close()


def ask_all(line: Line, commands: list[bytes]) -> list[object]:
    asks = [gevent.spawn(line.ask, command) for command in commands]
    gevent.joinall(asks, timeout=10)
    return [ask.value if ask.successful() else ask.exception for ask in asks]


def test_each_gets_its_own_reply(line: Line) -> None:
    many = 3 * GROUP_MAX + 1
    replies = ask_all(line, [pack("ECHO", at) for at in range(many)])
    assert replies == [b"%d" % at for at in range(many)]


def test_an_error_is_for_who_asked_and_no_outage(line: Line) -> None:
    replies = ask_all(line, [pack("ECHO", 1), pack("NONSENSE"), pack("ECHO", 2)])
    assert (replies[0], replies[2]) == (b"1", b"2")
    assert isinstance(replies[1], RedisGone)
    assert not line.down


def test_only_what_the_script_was_missing_for_is_sent_again(line: Line, wire: Wire) -> None:
    line.ask(pack("SET", "count", 0))
    wire.call(("SCRIPT", "FLUSH"))
    evaluate = [pack("EVALSHA", line.sha, 0, at) for at in range(3)]
    count = pack("INCR", "count")
    replies = ask_all(line, [evaluate[0], count, evaluate[1], count, evaluate[2]])
    assert replies == [b"0", 1, b"1", 2, b"2"]
    assert wire.call(("GET", "count")) == [b"2"]


def test_telling_goes_in_order_and_does_not_wait(line: Line) -> None:
    line.tell(pack("SET", "a", 1))
    line.tell(pack("LPUSH", "a", 1))
    line.tell(pack("INCR", "a"))
    assert line.ask(pack("GET", "a")) == b"2"


def test_a_flusher_that_dies_leaves_nobody_waiting_and_another_comes(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ask(pack("PING"))

    def broken(packed: bytes, count: int) -> list[object]:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(line._wire, "replies", broken)
        replies = ask_all(line, [pack("ECHO", at) for at in range(GROUP_MAX + 9)])
    assert {type(reply) for reply in replies} == {RedisGone}
    assert line.ask(pack("ECHO", "new")) == b"new"


def test_a_reply_that_comes_after_its_flusher_is_nobodys(line: Line, wire: Wire) -> None:
    asked = gevent.spawn(line.ask, pack("BLPOP", "nothing", 0.2))
    until(lambda: b"cmd=blpop" in wire.call(("CLIENT", "LIST"))[0])
    line._flusher.kill()
    assert line.ask(pack("ECHO", "new")) == b"new"
    assert isinstance(asked.exception, RedisGone)


def test_who_stops_waiting_takes_nobodys_reply(line: Line) -> None:
    asks = [gevent.spawn(line.ask, pack("ECHO", at)) for at in range(9)]
    until(lambda: line._flusher is not None)
    asks[4].kill()
    gevent.joinall(asks, timeout=10)
    assert [ask.value for ask in asks if ask is not asks[4]] == [
        b"%d" % at for at in range(9) if at != 4
    ]
    assert line.ask(pack("ECHO", "next")) == b"next"


@pytest.mark.parametrize("sent", [True, False])
def test_closing_fails_who_waits(line: Line, wire: Wire, sent: bool) -> None:
    asks = [gevent.spawn(line.ask, pack("BLPOP", "nothing", 5)) for _ in range(2)]
    if sent:
        until(lambda: b"cmd=blpop" in wire.call(("CLIENT", "LIST"))[0])
    # If nothing is sent, this runs after the asks and before the flusher that they spawn.
    closing = gevent.spawn(line.close)
    gevent.joinall([*asks, closing], timeout=5)
    assert all(isinstance(ask.exception, RedisGone) for ask in asks)


def test_a_connection_that_was_idle_is_opened_anew(
    line: Line, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ask(pack("PING"))
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    wire.call(("CLIENT", "KILL", "TYPE", "normal"))
    assert line.ask(pack("ECHO", "still here")) == b"still here"
    assert not line.down
