"""Ids: unique, sorted by time, and of a form that is recognised."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ids import is_job_id, new_id, unix_s

CROCKFORD = set("0123456789abcdefghjkmnpqrstvwxyz")


def number(job_id: str) -> int:
    """The 130 bits that an id spells."""
    value = 0
    for letter in job_id.partition("_")[2]:
        value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    return value


def test_has_the_form_of_a_ulid() -> None:
    prefix, _, tail = new_id("job").partition("_")
    assert prefix == "job"
    assert len(tail) == 26
    assert set(tail) <= CROCKFORD


def test_holds_the_time_in_its_first_48_bits() -> None:
    before = time.time_ns() // 1_000_000
    made = number(new_id("job"))
    assert before <= made >> 80 <= time.time_ns() // 1_000_000


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=20))
def test_sorts_by_time_as_text(moments: list[int]) -> None:
    made = []
    with pytest.MonkeyPatch.context() as patch:
        for moment in moments:
            patch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
            made.append((moment, new_id("job")))
    for moment, made_id in made:
        for other, other_id in made:
            if moment < other:
                assert made_id < other_id


def test_carries_80_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return b"\xff" * count

    monkeypatch.setattr(os, "urandom", draw)
    assert number(new_id("job")) & (2**80 - 1) == 2**80 - 1
    assert drawn == [10]


def test_no_two_are_the_same() -> None:
    assert len({new_id("job") for _ in range(20_000)}) == 20_000


@given(st.integers(0, 2**48 - 1))
def test_an_id_tells_when_it_was_made(moment: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: moment * 1_000_000)
        assert unix_s(new_id("job")) == moment / 1000


@given(st.integers(0, 2**48 - 1))
def test_every_job_id_is_recognised(moment: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: moment * 1_000_000)
        assert is_job_id(new_id("job"))


@pytest.mark.parametrize("change", ["", " ", "\n", "0", "é"])
def test_a_job_id_with_more_behind_it_is_refused(change: str) -> None:
    good = new_id("job")
    assert is_job_id(good + change) is (change == "")


@pytest.mark.parametrize("prefix", ["key", "ten", "JOB", "", "xjob"])
def test_another_prefix_is_refused(prefix: str) -> None:
    assert not is_job_id(new_id(prefix))


@given(st.text(max_size=40))
def test_arbitrary_text_is_refused(text: str) -> None:
    assert not is_job_id(text)


@pytest.mark.parametrize("letter", ["i", "l", "o", "u", "A"])
def test_letters_outside_the_alphabet_are_refused(letter: str) -> None:
    assert not is_job_id(new_id("job")[:-1] + letter)
