"""Scopes, and texts that are the same."""

import pytest

from app.memory.model import NewMemory, Scope


def digest(text: str) -> bytes:
    return NewMemory("mem_x", text).digest


@pytest.mark.parametrize("text", ["i like TEA.", " I  like\ntea. ", "Ｉ like tea."])
def test_case_spaces_and_width_make_no_other_text(text: str) -> None:
    assert digest(text) == digest("I like tea.")


def test_other_words_make_another_text() -> None:
    assert digest("I like tea.") != digest("I like teas.")


def test_all_sessions_of_a_user_stand_on_one_shelf() -> None:
    assert Scope("ten_a", "ann", "s1").shelf == Scope("ten_a", "ann").shelf
    assert Scope("ten_a", "ann", "s1").session != Scope("ten_a", "ann", "s2").session


def test_whoever_differs_has_another_shelf() -> None:
    scopes = [
        Scope("ten_a"), Scope("ten_b"), Scope("ten_a", "x"), Scope("ten_b", "x"),
        Scope("ten_a", None, "x"), Scope("ten_a", None, "y"), Scope("ten_a", ""),
    ]  # fmt: skip
    assert len({scope.shelf for scope in scopes}) == len(scopes)


def test_what_has_no_session_has_the_number_0() -> None:
    assert Scope("ten_a", "ann").session == 0
    assert Scope("ten_a", "ann", "").session != 0
