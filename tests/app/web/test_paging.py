"""Pages of lists, and what stands in an address."""

from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest, NotFound
from app.web.paging import after_number, limit, page, plain_ids

APP = Flask("test")


def entries(*ids: str) -> list[dict[str, Any]]:
    return [{"id": an_id} for an_id in ids]


def test_a_page_tells_where_it_ends_and_whether_more_follows() -> None:
    one = page(entries("a", "b", "c"), 2)
    assert one == {"object": "list", "data": entries("a", "b"), "first_id": "a", "last_id": "b",
                   "has_more": True}  # fmt: skip
    assert page(entries("a", "b"), 2)["has_more"] is False
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert page([], 2) == empty


@given(st.text(st.characters(codec="utf-8")))
def test_a_limit_is_a_number_that_a_page_may_have(text: str) -> None:
    with APP.test_request_context("/", query_string={"limit": text}):
        if text.isascii() and text.isdecimal() and len(text) <= 18 and 1 <= int(text) <= 100:
            assert limit() == int(text)
        else:
            with pytest.raises(InvalidRequest):
                limit()


@pytest.mark.parametrize("text", ["x1", "-1", "1.0", "9" * 19])
def test_a_number_to_go_on_from_fits_postgres(text: str) -> None:
    with APP.test_request_context("/", query_string={"after": text}), pytest.raises(InvalidRequest):
        after_number()


@pytest.mark.parametrize("wrong", ["\0", "a\0b", "a b", "", "ä", "a\n", "x" * 129])
def test_nobodys_id_is_not_found(wrong: str) -> None:
    with pytest.raises(NotFound):
        plain_ids("endpoint", {"fine": "key_01", "wrong": wrong})
    plain_ids("endpoint", {"fine": "key_01", "app": "my-app.v2"})
    plain_ids("endpoint", None)
