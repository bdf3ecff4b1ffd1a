"""Places go round, and who finds none comes again before long."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.app.events.parts import until
from workers.chores.places import APART_S, LATER_S, NoPlace, Places


class Guests:
    """Greenlets that want places and keep them until they are told to go."""

    def __init__(self, at_once: int, of_tenant: int, waiting: int) -> None:
        self._places, self._waiting = Places(at_once, of_tenant), waiting
        self._doors: dict[str, Event] = {}
        self._greenlets: dict[str, Any] = {}
        self.inside: list[str] = []
        self.refused: dict[str, float] = {}

    def come(self, *names: str) -> None:
        """`moon 1` is of the tenant moon."""
        for name in names:
            self._doors[name] = Event()
            self._greenlets[name] = gevent.spawn(self._visit, name)
            gevent.sleep(0)

    def go(self, name: str) -> None:
        """One leaves; returns once whoever follows is inside."""
        self._doors[name].set()
        self._greenlets[name].join(5)
        gevent.sleep(0)

    def lose(self, name: str) -> None:
        self._greenlets[name].kill()
        gevent.sleep(0)

    def _visit(self, name: str) -> None:
        try:
            with self._places.place(name.partition(" ")[0], self._waiting):
                self.inside.append(name)
                self._doors[name].wait(5)
        except NoPlace as full:
            self.refused[name] = full.later_s


def test_places_go_to_tenants_in_turn_and_to_one_tenants_by_age() -> None:
    guests = Guests(2, of_tenant=3, waiting=9)
    guests.come("moon 1", "moon 2", "moon 3", "moon 4", "sun 1", "star 1")
    assert guests.inside == ["moon 1", "moon 2"]
    guests.go("moon 1")
    assert guests.inside[2:] == ["sun 1"]
    guests.go("moon 2")
    assert guests.inside[3:] == ["moon 3"]
    guests.go("sun 1")
    assert guests.inside[4:] == ["star 1"]
    guests.go("moon 3")
    assert guests.inside[5:] == ["moon 4"]
    assert guests.refused == {}


def test_who_finds_no_room_to_wait_comes_again_apart_from_the_tenants_others() -> None:
    guests = Guests(1, of_tenant=1, waiting=2)
    guests.come("moon 1", "moon 2", "moon 3", "moon 4", "sun 1", "sun 2", "star 1")
    assert list(guests.refused) == ["moon 3", "moon 4", "sun 2", "star 1"]
    first, second = guests.refused["moon 3"], guests.refused["moon 4"]
    assert first == pytest.approx(LATER_S, abs=0.01)
    assert second - first == pytest.approx(APART_S, abs=0.01)
    assert guests.refused["star 1"] == pytest.approx(LATER_S, abs=0.01)


def test_one_that_is_lost_leaves_its_place_or_its_wait_to_others() -> None:
    guests = Guests(1, of_tenant=9, waiting=9)
    guests.come("moon 1", "moon 2", "moon 3")
    guests.lose("moon 2")
    guests.lose("moon 1")
    assert guests.inside == ["moon 1", "moon 3"]
    guests.go("moon 3")
    guests.come("moon 4")
    until(lambda: guests.inside[-1] == "moon 4")
