"""Counters that a lost word left wrong are mended, and no others."""

from app.limits.model import day_of
from app.limits.reconcile import reconcile
from app.redis import Wire


def today(wire: Wire) -> int:
    return day_of(float(wire.call(("TIME",))[0][0]))


def count(wire: Wire, bucket: str) -> int:
    return int(wire.call(("GET", f"lim:{bucket}:tok:{today(wire)}"))[0])


def put(wire: Wire, bucket: str, value: int) -> None:
    wire.call(("SET", f"lim:{bucket}:tok:{today(wire)}", value, "EX", 1000))


def test_a_counter_that_stands_still_and_is_wrong_becomes_the_truth(redis: str) -> None:
    wire = Wire(redis)
    put(wire, "ten_a", 500)
    put(wire, "ten_b", 70)
    truths = {"ten_a": 120, "ten_b": 70}
    assert reconcile(redis, lambda bucket, _: truths[bucket]) == 0
    assert (count(wire, "ten_a"), count(wire, "ten_b")) == (500, 70)
    assert reconcile(redis, lambda bucket, _: truths[bucket]) == 1
    assert (count(wire, "ten_a"), count(wire, "ten_b")) == (120, 70)
    assert wire.call(("TTL", f"lim:ten_a:tok:{today(wire)}"))[0] > 900


def test_a_counter_that_moves_is_left_alone(redis: str) -> None:
    wire = Wire(redis)
    put(wire, "ten_a", 500)
    reconcile(redis, lambda *_: 0)
    put(wire, "ten_a", 501)
    assert reconcile(redis, lambda *_: 0) == 0
    assert count(wire, "ten_a") == 501


def test_a_counter_that_moves_while_the_truth_is_asked_is_left_alone(redis: str) -> None:
    wire = Wire(redis)
    put(wire, "ten_a", 500)
    reconcile(redis, lambda *_: 0)

    def slow_truth(*_: object) -> int:
        put(wire, "ten_a", 555)
        return 7

    assert reconcile(redis, slow_truth) == 0
    assert count(wire, "ten_a") == 555


def test_a_counter_found_right_is_not_asked_after_until_it_moves(redis: str) -> None:
    wire, asked = Wire(redis), []

    def truth(bucket: str, _: int) -> int:
        asked.append(bucket)
        return 9

    put(wire, "ten_a", 9)
    for _ in range(4):
        reconcile(redis, truth)
    assert asked == ["ten_a"]
    put(wire, "ten_a", 10)
    reconcile(redis, truth)
    reconcile(redis, truth)
    assert asked == ["ten_a", "ten_a"]
    assert count(wire, "ten_a") == 9
