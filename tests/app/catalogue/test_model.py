"""Models: what an answer costs, what is held for it, and which routes a name leads to."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.model import Catalogue, Model, ModelSpec, Price, Route
from app.catalogue.tokens import estimate_tokens

TOKENS = st.integers(0, 2_000_000)
PRICES = st.builds(
    lambda i, o, c: Price.model_validate(
        {"input": f"{i}e-9", "output": f"{o}e-9", "cached_input": None if c is None else f"{c}e-9"}
    ),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
)
HERE, THERE = Route(provider="here", model="m"), Route(provider="there", model="n")


def model(price: Price | None = None, *routes: Route, persona: str = "") -> Model:
    spec = ModelSpec(price=price or Price(), persona=persona, max_output=1000)
    return Model("m", spec, routes or (HERE,), spec.price)


def test_a_price_is_dollars_a_million_tokens() -> None:
    price = Price.model_validate({"input": 0.15, "cached_input": 0.075, "output": 0.60})
    cost = model(price).cost(prompt=1_000_000, cached=400_000, completion=500_000)
    assert (cost.input, cost.cached_input, cost.output) == (90_000_000, 30_000_000, 300_000_000)
    assert cost.total == 420_000_000


def test_cached_tokens_without_a_price_of_their_own_cost_as_input() -> None:
    price = Price.model_validate({"input": 3, "output": 1})
    assert model(price).cost(100, 40, 0).total == model(price).cost(100, 0, 0).total


@given(PRICES, TOKENS, TOKENS, TOKENS)
def test_a_cost_is_the_exact_sum_rounded_up_by_part(
    price: Price, prompt: int, cached: int, completion: int
) -> None:
    cached = min(cached, prompt)
    cached_price = price.input if price.cached_input is None else price.cached_input
    cost = model(price).cost(prompt, cached, completion)
    exact = [
        (cost.input, Fraction((prompt - cached) * price.input, 10**6)),
        (cost.cached_input, Fraction(cached * cached_price, 10**6)),
        (cost.output, Fraction(completion * price.output, 10**6)),
    ]
    for charged, true in exact:
        assert true <= charged < true + 1


@given(PRICES, st.text(max_size=200), st.integers(1, 1000), st.integers(1, 4), st.data())
def test_a_hold_covers_every_answer_within_its_limits(
    price: Price, text: str, max_tokens: int, choices: int, data: st.DataObject
) -> None:
    size = len(text.encode())
    one = model(price, persona="Be kind.")
    prompt = data.draw(st.integers(0, size + len("Be kind.")))
    completion = data.draw(st.integers(0, max_tokens * choices))
    assert one.cost(prompt, 0, completion).total <= one.hold(size, max_tokens, choices)


def test_a_hold_without_max_tokens_is_for_the_most_that_the_model_gives() -> None:
    price = Price.model_validate({"input": 1, "output": 2})
    assert model(price).hold(500, None, 3) == 500 * 1000 + 3 * 1000 * 2000


@given(st.text())
def test_estimated_tokens_are_a_quarter_of_the_bytes_rounded_up(text: str) -> None:
    size = len(text.encode())
    assert estimate_tokens(text) * 4 - size in range(4)


@pytest.fixture
def known() -> Catalogue:
    models = {
        "m": model(None, HERE, THERE),
        "org/m": Model("org/m", ModelSpec(), (THERE,), Price()),
    }
    return Catalogue("m", {}, models, {"alias": "m"})


@pytest.mark.parametrize(
    ("name", "provider", "found"),
    [
        (None, None, ("m", (HERE, THERE))),
        ("", None, ("m", (HERE, THERE))),
        ("alias", None, ("m", (HERE, THERE))),
        ("m", "there", ("m", (THERE,))),
        ("there/m", None, ("m", (THERE,))),
        ("there/alias", None, ("m", (THERE,))),
        ("there/m", "there", ("m", (THERE,))),
        ("org/m", None, ("org/m", (THERE,))),
        ("there/org/m", None, ("org/m", (THERE,))),
    ],
)
def test_finds_a_model_on_the_routes_asked_for(
    known: Catalogue, name: str | None, provider: str | None, found: tuple[str, tuple[Route, ...]]
) -> None:
    one = known.find(name, provider)
    assert one is not None
    assert (one.id, one.routes) == found


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("unknown", None),
        ("m", "nowhere"),
        ("nowhere/m", None),
        ("here/m", "there"),
        ("here/org/m", None),
        ("/m", None),
        ("here/", None),
    ],
)
def test_finds_nothing_rather_than_something_else(
    known: Catalogue, name: str, provider: str | None
) -> None:
    assert known.find(name, provider) is None
