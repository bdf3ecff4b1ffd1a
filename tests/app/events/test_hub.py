"""The listening side: one subscriber for all, through whatever Redis does."""

from collections.abc import Callable
from typing import Any

import gevent

from app.events.hub import Hub, Watch, on_message
from app.redis import Wire
from tests.app.events.parts import OwnRedis, until


def listeners(wire: Wire, channel: str) -> int:
    [[_, count]] = wire.call(("PUBSUB", "NUMSUB", channel))
    return int(count)


def watch(hub: Hub, wire: Wire, channel: str) -> Watch:
    """Listens on a channel; returned once Redis knows, with nothing lost."""
    made = hub.watch(channel)
    until(lambda: listeners(wire, channel) and hub._wire)
    made.lost = False
    return made


def subscribers(wire: Wire) -> int:
    [clients] = wire.call(("CLIENT", "LIST", "TYPE", "PUBSUB"))
    return len(clients.splitlines())


def test_a_message_reaches_each_listener_of_its_channel(hub: Hub, wire: Wire) -> None:
    first, second, other = (watch(hub, wire, channel) for channel in "ccd")
    wire.call(("PUBLISH", "c", "hi"))
    assert (first.get(5), second.get(5)) == (b"hi", b"hi")
    assert other.get(0) is None


def test_many_listeners_share_one_connection_and_one_subscription(hub: Hub, wire: Wire) -> None:
    watches = [watch(hub, wire, f"c{n % 10}") for n in range(50)]
    assert subscribers(wire) == 1
    assert wire.call(("PUBLISH", "c0", "hi")) == [1]
    assert [one.get(5) for one in watches[::10]] == [b"hi"] * 5


def test_messages_keep_their_order(hub: Hub, wire: Wire) -> None:
    here = watch(hub, wire, "c")
    wire.call(*[("PUBLISH", "c", n) for n in range(100)])
    assert [here.get(5) for _ in range(100)] == [str(n).encode() for n in range(100)]


def test_a_channel_that_nobody_listens_to_is_left_with_the_next_subscription(
    hub: Hub, wire: Wire
) -> None:
    first, second = watch(hub, wire, "c"), watch(hub, wire, "c")
    hub.leave(first)
    watch(hub, wire, "d")
    assert listeners(wire, "c") == 1
    hub.leave(second)
    hub.leave(second)
    watch(hub, wire, "e")
    assert listeners(wire, "c") == 0


def test_a_channel_left_and_watched_again_is_heard(hub: Hub, wire: Wire) -> None:
    hub.leave(hub.watch("c"))
    again = watch(hub, wire, "c")
    watch(hub, wire, "d")
    wire.call(("PUBLISH", "c", "hi"))
    assert again.get(5) == b"hi"


def test_a_channel_left_at_once_leaves_no_subscription(hub: Hub, wire: Wire) -> None:
    watch(hub, wire, "a")
    hub.leave(hub.watch("c"))
    watch(hub, wire, "d")
    assert listeners(wire, "c") == 0


def test_waiting_ends_after_its_time(hub: Hub, wire: Wire) -> None:
    assert watch(hub, wire, "c").get(0.01) is None


def test_a_redis_that_went_and_came_back_says_that_messages_may_be_lost(
    own_redis: OwnRedis, make_hub: Callable[[str], Hub]
) -> None:
    hub = make_hub(own_redis.url)
    early = watch(hub, own_redis.wire(), "c")
    own_redis.kill()
    late = hub.watch("d")
    own_redis.start()
    assert early.get(10) is None
    assert early.lost
    early.lost = late.lost = False
    until(lambda: listeners(own_redis.wire(), "c") and listeners(own_redis.wire(), "d"))
    own_redis.wire().call(("PUBLISH", "c", "hi"), ("PUBLISH", "d", "ho"))
    assert (early.get(5), late.get(5)) == (b"hi", b"ho")


def test_a_subscriber_that_redis_throws_out_comes_back(hub: Hub, wire: Wire) -> None:
    here = watch(hub, wire, "c")
    wire.call(("CLIENT", "KILL", "TYPE", "PUBSUB"))
    assert here.get(10) is None
    assert here.lost
    here.lost = False
    until(lambda: listeners(wire, "c"))
    wire.call(("PUBLISH", "c", "hi"))
    assert here.get(5) == b"hi"


def test_a_handler_gets_every_message(hub: Hub, wire: Wire) -> None:
    got: list[bytes] = []
    greenlet: Any = on_message(hub, "c", got.append)
    try:
        until(lambda: listeners(wire, "c"))
        wire.call(*[("PUBLISH", "c", n) for n in range(5)])
        until(lambda: len(got) == 5)
        assert got == [b"0", b"1", b"2", b"3", b"4"]
    finally:
        gevent.kill(greenlet)
