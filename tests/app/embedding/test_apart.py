"""Work beside gevent's hub. What is patched is a process of its own, as tests are not."""

import subprocess
import sys
import threading

from app.embedding.apart import apart

PATCHED = """
from gevent import monkey
monkey.patch_all()
import threading
import gevent
from app.embedding.apart import apart

sleep = monkey.get_original("time", "sleep")
event = monkey.get_original("threading", "Event")()
native = monkey.get_original("threading", "get_ident")
ticks, order = [], []


def work(name, *, wait):
    order.append(name)
    if wait:
        assert event.wait(20)
    return name, native()


def tick():
    while True:
        ticks.append(1)
        if len(ticks) == 5:
            event.set()
        gevent.sleep(0.001)


gevent.spawn(tick)
first = gevent.spawn(apart, work, "first", wait=True)
second = gevent.spawn(apart, work, "second", wait=False)
assert first.get()[0] == "first" and len(ticks) >= 5, "the hub stood still"
assert second.get()[1] == first.get()[1] != native(), "there is one thread for it"
assert order == ["first", "second"]

try:
    apart(int, "moon")
except ValueError:
    pass
else:
    raise AssertionError("the error is lost")

event.clear()
left = gevent.spawn(apart, work, "left", wait=True)
gevent.sleep(0.01)
left.kill(timeout=5)
assert left.dead, "it waits for work that it does not want"
event.set()
print("well")
"""


def test_the_hub_goes_on_while_one_thread_works() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PATCHED], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.stdout == "well\n", told.stderr


def test_without_gevent_it_just_runs() -> None:
    assert apart(threading.get_ident) == threading.get_ident()
    assert apart(int, "10", base=2) == 2
