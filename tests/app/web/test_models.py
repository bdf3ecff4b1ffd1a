"""Models of every operation, as clients read them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.catalogue.abilities import ABILITIES, HARMLESS
from app.settings import Settings
from app.web.guards import nobody
from app.web.models import CAPABILITIES, FIELDS, PARTS, model_routes, public_routes
from tests.app.web.access import Door, open_door

CATALOGUE = """
providers:
  there: {kind: openai, base_url: "http://127.0.0.1:1/v1", without: [logit_bias]}
models:
  talker: {price: {input: 1, output: 2}, without: [tools], routes: [{provider: there, model: t}]}
  both:
    price: {input: 1, output: 2}
    routes: [{provider: builtin, model: eliza}, {provider: there, model: t}]
  vector:
    does: embedding
    context: 512
    price: {input: 0.02}
    routes: [{provider: there, model: v}]
  brush: {does: image, price: {image: 0.04}, routes: [{provider: there, model: b}]}
  finer:
    does: image
    price: {image: 0.04, input: 5, output: 40}
    routes: [{provider: there, model: f}]
  ears: {does: transcription, price: {minute: 0.006}, routes: [{provider: there, model: e}]}
aliases: {my-brush: brush}
"""


@pytest.fixture
def door(
    line_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Door]:
    path = tmp_path / "catalogue.yaml"
    path.write_text(CATALOGUE)
    rooms = ((model_routes, nobody), (public_routes, nobody))
    with open_door(line_settings(catalogue=path), monkeypatch, *rooms) as opened:
        yield opened


def model(door: Door, name: str) -> dict[str, Any]:
    answer = door.nobody().get(f"/v1/models/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.mark.parametrize(
    ("name", "does", "endpoint", "context", "most"),
    [
        ("talker", "chat", "/v1/chat/completions", 128_000, 16_384),
        ("vector", "embedding", "/v1/embeddings", 512, None),
        ("brush", "image", "/v1/images/generations", None, None),
        ("ears", "transcription", "/v1/audio/transcriptions", None, None),
    ],
)
def test_a_model_says_what_it_is_for(
    door: Door, name: str, does: str, endpoint: str, context: int | None, most: int | None
) -> None:
    told = model(door, name)
    assert (told["does"], told["endpoint"]) == (does, endpoint)
    assert (told["context_window"], told["max_output_tokens"]) == (context, most)
    assert (told["abilities"] is None) == (does != "chat")


@pytest.mark.parametrize(
    ("name", "pricing"),
    [
        ("talker", {"input": 1e-6, "output": 2e-6, "unit": "token"}),
        ("vector", {"input": 2e-8, "output": 0.0, "unit": "token"}),
        ("brush", {"input": 0.0, "output": 0.04, "unit": "image"}),
        (
            "finer",
            {
                "input": 0.0,
                "output": 0.04,
                "unit": "image",
                "token": {"input": 5e-6, "output": 4e-5},
            },
        ),
        ("ears", {"input": 0.006, "output": 0.0, "unit": "minute"}),
    ],
)
def test_a_price_is_told_by_its_unit(door: Door, name: str, pricing: dict[str, Any]) -> None:
    assert model(door, name)["pricing"] == {**pricing, "currency": "USD"}


def test_abilities_leave_out_what_provider_and_model_lack(door: Door) -> None:
    abilities = model(door, "talker")["abilities"]
    assert set(abilities["fields"]) == FIELDS - {"logit_bias", "tools"}
    assert set(abilities["parts"]) == PARTS


def test_abilities_are_those_of_all_routes_together(door: Door) -> None:
    eliza, both = model(door, "builtin/eliza"), model(door, "both")
    assert "tools" not in eliza["abilities"]["fields"]
    assert "logit_bias" in eliza["abilities"]["fields"]
    assert set(both["abilities"]["fields"]) == FIELDS
    forced = model(door, "builtin/both")
    assert forced["abilities"] == eliza["abilities"]


def test_all_that_a_kind_of_provider_may_lack_is_a_field_or_a_part() -> None:
    for kind, able in ABILITIES.items():
        assert (able.fields or frozenset()) - HARMLESS <= FIELDS, kind
        assert (able.parts or frozenset()) <= PARTS, kind


def test_the_list_has_every_model_and_an_alias_is_found(door: Door) -> None:
    names = [one["id"] for one in door.nobody().get("/models").get_json()["data"]]
    assert {"talker", "vector", "brush", "finer", "ears", "builtin/image"} <= set(names)
    assert model(door, "my-brush")["id"] == "brush"
    answer = door.nobody().get("/v1/models/none")
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (404, "model")


def test_the_public_list_has_capabilities_prices_and_its_time(door: Door) -> None:
    body = door.nobody().get("/public/models").get_json()
    assert body["status"] == "success"
    assert 0 <= body["meta"]["processing_time"] < 60
    told = {one["id"]: one for one in body["data"]["models"]}
    does = {"talker": "chat", "vector": "embedding", "brush": "image", "ears": "transcription"}
    for name, operation in does.items():
        assert tuple(told[name]["capabilities"]) == CAPABILITIES[operation]  # type: ignore[index]
        assert told[name]["provider"] == "there"
        assert told[name]["object"] == "model"
    assert told["brush"]["pricing"]["unit"] == "image"
