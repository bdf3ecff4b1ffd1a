"""Models: what an answer costs, what is held for it, and which routes a name leads to."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.model import (
    Catalogue,
    Cost,
    Model,
    ModelSpec,
    Price,
    ProviderSpec,
    Route,
    price_entry,
)
from app.catalogue.prices import KnownPrice
from app.catalogue.tiers import Limits
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
    return Model("m", spec, routes or (HERE,), price or Price())


def price(**dollars: float) -> Price:
    return Price.model_validate(dollars)


def test_a_price_is_dollars_a_million_tokens() -> None:
    cost = model(price(input=0.15, cached_input=0.075, output=0.60)).cost(
        prompt=1_000_000, cached=400_000, completion=500_000
    )
    assert (cost.input, cost.cached_input, cost.output) == (90_000_000, 30_000_000, 300_000_000)
    assert cost.total == 420_000_000


def test_cached_tokens_without_a_price_of_their_own_cost_as_input() -> None:
    one = model(price(input=3, output=1))
    assert one.cost(100, 40, 0).total == one.cost(100, 0, 0).total


@given(PRICES, TOKENS, TOKENS, TOKENS)
def test_a_cost_is_the_exact_sum_rounded_up_by_part(
    paid: Price, prompt: int, cached: int, completion: int
) -> None:
    cached = min(cached, prompt)
    cached_price = paid.input if paid.cached_input is None else paid.cached_input
    cost = model(paid).cost(prompt, cached, completion)
    exact = [
        (cost.input, Fraction((prompt - cached) * paid.input, 10**6)),
        (cost.cached_input, Fraction(cached * cached_price, 10**6)),
        (cost.output, Fraction(completion * paid.output, 10**6)),
    ]
    for charged, true in exact:
        assert true <= charged < true + 1


@given(PRICES, TOKENS, TOKENS, TOKENS, st.integers(0, 10**19))
def test_a_cost_within_a_limit_loses_its_output_first_and_its_cached_input_last(
    paid: Price, prompt: int, cached: int, completion: int, limit: int
) -> None:
    full = paid.cost(prompt, cached, completion)
    cut = full.within(limit)
    assert cut.total == min(full.total, limit)
    assert min(cut.input, cut.cached_input, cut.output) >= 0
    if cut.output:
        assert cut.input == full.input
    if cut.input:
        assert cut.cached_input == full.cached_input
    assert cut.input <= full.input
    assert cut.output <= full.output


def test_a_limit_cuts_part_after_part() -> None:
    cost = Cost(input=10, cached_input=5, output=20)
    assert cost.within(35) == cost
    assert cost.within(30) == Cost(10, 5, 15)
    assert cost.within(12) == Cost(7, 5, 0)
    assert cost.within(3) == Cost(0, 3, 0)


@given(
    PRICES,
    st.lists(st.none() | PRICES, min_size=1, max_size=3),
    st.text(max_size=200),
    st.integers(1, 1000),
    st.integers(1, 4),
    st.data(),
)
def test_a_hold_covers_every_answer_within_its_limits_on_every_route(
    own: Price,
    prices: list[Price | None],
    text: str,
    max_tokens: int,
    choices: int,
    data: st.DataObject,
) -> None:
    routes = [Route(provider=f"p{n}", model="m", price=paid) for n, paid in enumerate(prices)]
    one = model(own, *routes, persona="Be kind.")
    size = len(text.encode())
    prompt = data.draw(st.integers(0, size + len("Be kind.")))
    cached = data.draw(st.integers(0, prompt))
    completion = data.draw(st.integers(0, max_tokens * choices))
    hold = one.hold(size, max_tokens, choices)
    for route in (*routes, None):
        assert one.cost(prompt, cached, completion, route).total <= hold


def test_a_hold_without_max_tokens_is_for_the_most_that_the_model_gives() -> None:
    assert model(price(input=1, output=2)).hold(500, None, 3) == 500 * 1000 + 3 * 1000 * 2000


def test_a_free_model_holds_nothing() -> None:
    assert model().hold(10**6, 10**6, 8) == 0


def test_a_hold_is_for_the_dearest_input_and_output_of_any_route() -> None:
    routes = (
        HERE.model_copy(update={"price": price(input=1, output=9)}),
        THERE.model_copy(update={"price": price(input=1, cached_input=4, output=2)}),
    )
    assert model(price(input=100, output=100), *routes).hold(1, 1, 1) == 4000 + 9000


def test_a_hold_is_for_the_dearest_tier_and_the_cost_at_the_base() -> None:
    tiered = KnownPrice.model_validate(
        {"input": 1, "output": 2, "dearest_input": 3, "dearest_output": 5}
    )
    one = model(tiered)
    assert one.hold(1, 1, 1) == 3000 + 5000
    assert one.cost(1, 0, 1).total == 1000 + 2000
    assert tiered.tiered


def test_a_route_costs_its_own_price_and_the_model_that_of_the_first() -> None:
    dear = HERE.model_copy(update={"price": price(input=7), "cost": price(input=5)})
    one = model(price(input=2), dear, THERE)
    assert [one.cost(1, 0, 0, route).total for route in (dear, THERE, None)] == [7000, 2000, 7000]
    assert one.cost_of(dear) == price(input=5)
    assert one.cost_of(THERE) == price(input=2)


NUMBERS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(
    st.sampled_from("ab"), st.sampled_from("xy"), NUMBERS,
    st.sampled_from("ab"), st.sampled_from("xy"), NUMBERS,
)  # fmt: skip
def test_a_version_changes_exactly_when_what_it_stands_for_does(
    model_a: str,
    provider_a: str,
    a: tuple[int, int, int],
    model_b: str,
    provider_b: str,
    b: tuple[int, int, int],
) -> None:
    first, second = (price(input=i, cached_input=c, output=o) for i, c, o in (a, b))
    same = (model_a, provider_a, a) == (model_b, provider_b, b)
    versions = {
        price_entry(model_a, provider_a, first).version,
        price_entry(model_b, provider_b, second).version,
    }
    assert (len(versions) == 1) == same


def test_a_version_is_the_same_for_ever() -> None:
    """A job in Postgres names it long after the process that charged it is gone."""
    one = model(price(input=0.15, cached_input=0.075, output=0.6))
    assert one.price_version(HERE) == "price_71c0e722ce36694b"
    assert one.price_version(THERE) == price_entry("m", "there", one.price).version


def test_a_version_knows_neither_where_a_price_was_read_nor_a_default_that_is_spelled_out() -> None:
    versions = {
        price_entry("m", "p", one).version
        for one in (
            price(input=1, output=2),
            price(input=1, output=2, cached_input=1),
            KnownPrice.model_validate(
                {"input": 1, "output": 2, "dearest_input": 3, "dearest_output": 5}
            ),
        )
    }
    assert len(versions) == 1


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
    providers = {"here": ProviderSpec(kind="openai"), "there": ProviderSpec(kind="sim")}
    tiers = {"free": Limits(sessions=1), "gold": Limits(sessions=9)}
    return Catalogue("m", providers, models, {"alias": "m"}, [], tiers, "gold")


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


def test_a_forced_route_bounds_the_hold_and_makes_a_model_builtin_or_not(known: Catalogue) -> None:
    cheap = THERE.model_copy(update={"price": price(output=1)})
    dear = HERE.model_copy(update={"price": price(output=5)})
    mixed = Catalogue("m", known.providers, {"m": model(None, dear, cheap)}, {})
    whole, forced = mixed.find("m"), mixed.find("there/m")
    assert whole is not None
    assert forced is not None
    assert (whole.hold(0, 1, 1), forced.hold(0, 1, 1)) == (5000, 1000)
    assert (whole.builtin, forced.builtin) == (False, True)
    assert forced is mixed.find("m", "there")


def test_the_price_list_explains_every_version(known: Catalogue) -> None:
    entries = {entry.version: entry for entry in known.price_list()}
    assert len(entries) == len(known.price_list()) == 3
    for one in known.models.values():
        for route in one.routes:
            entry = entries[one.price_version(route)]
            assert (entry.model, entry.provider) == (one.id, route.provider)
            assert (entry.input, entry.cached_input, entry.output) == (0, 0, 0)
            assert entry.source == "catalogue"


def test_an_unknown_tier_is_limited_as_the_free_one(known: Catalogue) -> None:
    assert known.limits_of("gold").sessions == 9
    assert known.limits_of("gone").sessions == 1


def test_lines_of_batches_pay_a_part_of_the_price_and_cost_the_platform_the_same() -> None:
    route = Route(provider="p", model="m", price=Price(input=1, output=2, image="0.000000003"))
    spec = ModelSpec(routes=(route,), batch_factor="0.5")
    model = Model("m", spec, (route,), Price(input=1, output=2))
    half = model.in_batches()
    [paid] = half.routes
    assert half.price_of(paid) == Price(input="0.5", output=1, image="0.000000002")
    assert half.cost_of(paid) == model.cost_of(route)
    assert half.price_version(paid) != model.price_version(route)
    assert half.hold(100, 10, 1) == (100 * 500 + 10 * 1000)
    whole = Model("m", ModelSpec(routes=(route,), batch_factor=1), (route,), Price())
    assert whole.in_batches() is whole
