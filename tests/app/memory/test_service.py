"""Recall as workers and doors ask for it."""

from collections.abc import Callable, Iterator

import pytest

from app.catalogue.tokens import estimate_tokens
from app.db.connect import Connection
from app.db.reads import Reads
from app.memory.model import Scope
from app.settings import Settings
from tests.app.memory.bags import Bags, remember, row


@pytest.fixture
def memories(books: str, line_settings: Callable[..., Settings]) -> Iterator[Bags]:
    reads = Reads(books, "test")
    yield Bags(reads, line_settings())
    reads.close()


def test_the_best_are_recalled_and_count_as_used(
    plain: Connection, scope: Scope, memories: Bags
) -> None:
    moon = remember(plain, scope, "the moon is a stone")
    ship = remember(plain, Scope(scope.tenant_id, "ann", "s2"), "a ship")
    [found] = memories.recall(scope, "What is the moon?", 1)
    assert found.memory.id == moon.id
    assert found.memory.source is not None
    assert row(plain, moon.id, "uses") == (1,)
    assert row(plain, ship.id, "uses") == (0,)


def test_a_recall_may_leave_no_trace(plain: Connection, scope: Scope, memories: Bags) -> None:
    moon = remember(plain, scope, "the moon")
    assert memories.recall(scope, "moon", touch=False)
    assert row(plain, moon.id, "uses") == (0,)


def test_no_more_is_recalled_than_the_tokens_hold(
    plain: Connection, scope: Scope, memories: Bags
) -> None:
    for number in range(5):
        remember(plain, scope, f"the moon {number} " + f"word{number} " * 10)
    found = memories.recall(scope, "the moon", tokens=50)
    assert 1 <= len(found) < 5
    assert sum(estimate_tokens(one.memory.content) for one in found) <= 50
    assert memories.recall(scope, "the moon", tokens=1) == []


def test_only_the_types_asked_for_are_recalled(
    plain: Connection, scope: Scope, memories: Bags
) -> None:
    remember(plain, scope, "the moon")
    remember(plain, scope, "moon first", memory_type="procedural")
    [found] = memories.recall(scope, "moon", types=["procedural"])
    assert found.memory.content == "moon first"


@pytest.mark.parametrize("query", ["", " \n", "moon"])
def test_where_nothing_is_remembered_nothing_is_recalled(
    scope: Scope, memories: Bags, query: str
) -> None:
    assert memories.recall(scope, query) == []


@pytest.mark.parametrize("query", ["the of and", "?!", "moon " * 5000, "100% 'quoted' \\ (%s)"])
def test_any_question_is_answered(
    plain: Connection, scope: Scope, memories: Bags, query: str
) -> None:
    remember(plain, scope, "the moon")
    assert len(memories.recall(scope, query)) == 1
