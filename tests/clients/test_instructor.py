"""instructor gets structured answers, by tools and by JSON schema."""

import datetime
from typing import Any, Literal

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field


class Item(BaseModel):
    """A thing that is ordered."""

    name: str
    count: int = Field(ge=1)


class Order(BaseModel):
    """An order."""

    customer: str
    colour: Literal["red", "blue"]
    day: datetime.date
    items: list[Item] = Field(min_length=1)
    note: str | None = None


TEXT = 'Order 3 of "Ada\'s lamp" in blue for 2026-03-04.'
LAMPS = "3 of 'lamp'"


MODES = pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])
EACH = pytest.mark.parametrize(
    "mode",
    [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.RESPONSES_TOOLS],
)


def asked(text: str) -> dict[str, Any]:
    return {
        "model": "builtin/sim",
        "messages": [{"role": "user", "content": text}],
        "max_retries": 0,
    }


@EACH
def test_an_answer_is_an_order(mode: instructor.Mode) -> None:
    client = instructor.from_openai(OpenAI(max_retries=0), mode=mode)
    order = client.chat.completions.create(response_model=Order, **asked(TEXT))
    assert (order.colour, order.day) == ("blue", datetime.date(2026, 3, 4))
    assert order.customer == "Ada's lamp"
    assert order.items[0].count == 3


@MODES
def test_an_answer_comes_piece_by_piece(mode: instructor.Mode) -> None:
    client = instructor.from_openai(OpenAI(max_retries=0), mode=mode)
    parts = list(client.chat.completions.create_partial(response_model=Item, **asked(LAMPS)))
    assert parts[0].count is None
    assert parts[-1].model_dump() == {"name": "lamp", "count": 3}


def test_several_answers_come_one_by_one() -> None:
    client = instructor.from_openai(OpenAI(max_retries=0), mode=instructor.Mode.TOOLS)
    items = client.chat.completions.create_iterable(response_model=Item, **asked(LAMPS))
    assert list(items) == [Item(name="lamp", count=3)]
