"""What a profile expects to buy, as the web tells it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as tree

import numpy as np
import pytest
from flask import Flask

from app.db.connect import Connection
from app.settings import Settings
from app.uniroute.profile import Profile, profile_text
from app.uniroute.shelf import shipped
from app.uniroute.store import activate, keep_profile
from tests.app.uniroute.worlds import by_hand
from tests.app.web.doors import Caller

CATALOGUE = """
providers:
  east: {kind: sim}
  far: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  gpt-4o:
    price: {input: 2.5, output: 10}
    routes: [{provider: east, model: a}]
  gpt-4o-mini:
    price: {input: 0.15, output: 0.60}
    routes: [{provider: far, model: b}]
"""
AT = "/v1/router/profiles/{}/pareto"
DEAR, CHEAP, AWAY = "gpt-4o", "gpt-4o-mini", "gpt-4-turbo"
SHARE = (3 * 0.15 + 0.6) / (3 * 2.5 + 10)
HAND = by_hand(
    np.array([[30.0] * 3, [10.0] * 3]), np.array([[0.0, 0.1, 0.5], [0.0, 0.5, 0.4]]),
    AWAY, DEAR, CHEAP,
)  # fmt: skip


@pytest.fixture
def settings(gevent_sockets: None, home: Path, line_settings: Callable[..., Settings]) -> Settings:
    return line_settings(data_dir=home, catalogue=home / "catalogue.yaml")


@pytest.fixture
def pushed(connection: Connection) -> Profile:
    keep_profile(connection, HAND.version, profile_text(HAND).decode(), HAND.models, "test")
    return HAND


def told(caller: Caller, version: str) -> dict[str, Any]:
    answer = caller.get(AT.format(version))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def points(curve: list[dict[str, float]]) -> list[float]:
    """Cost and quality of each point, one after the other."""
    return [number for one in curve for number in (one["cost"], one["expected_quality"])]


def test_a_profile_by_hand_is_told_in_numbers(caller: Caller, pushed: Profile) -> None:
    found = told(caller, pushed.version)
    assert (found["object"], found["version"]) == ("router.pareto", pushed.version)
    assert (found["active"], found["measured"]) == (False, False)
    models = {one.pop("model"): one for one in found["models"]}
    assert models[DEAR] == {
        "available": True, "drawn": True, "price_usd": 4.375, "cost": 1.0,
        "expected_quality": 0.8, "prompts": 40.0,
    }  # fmt: skip
    assert models[CHEAP]["cost"] == pytest.approx(SHARE)
    # It errs never, is dearer than all, and cannot be called here.
    assert (models[AWAY]["available"], models[AWAY]["drawn"]) == (False, False)
    assert (models[AWAY]["expected_quality"], models[AWAY]["cost"] > 1) == (1.0, True)
    # The dear one is worth it in three prompts of four, and unseen it is needed for all.
    assert points(found["router"]) == pytest.approx(
        [SHARE, 0.525, 0.75 + 0.25 * SHARE, 0.825], abs=1e-6
    )
    assert points(found["no_router"]) == pytest.approx([SHARE, 0.525, 1.0, 0.8], abs=1e-6)


def test_active_is_the_active_one(caller: Caller, pushed: Profile, connection: Connection) -> None:
    assert told(caller, "active")["version"] == shipped()[0]
    assert told(caller, shipped()[0])["active"] is True
    activate(connection, pushed.version, "test")
    found = told(caller, "active")
    assert (found["version"], found["active"]) == (pushed.version, True)
    assert told(caller, shipped()[0])["active"] is False


def test_with_a_test_key_models_that_need_a_key_cannot_be_called(
    app: Flask, caller: Caller, connection: Connection, mine: str, pushed: Profile
) -> None:
    def drawn(who: Caller) -> set[str]:
        return {one["model"] for one in told(who, pushed.version)["models"] if one["drawn"]}

    assert drawn(caller) == {DEAR, CHEAP}
    assert drawn(Caller(app, connection, mine, mode="test")) == {DEAR}


@pytest.mark.parametrize(
    ("query", "accept"), [("", "image/svg+xml"), ("?format=svg", "application/json")]
)
def test_it_is_a_picture_where_one_is_wanted(
    caller: Caller, pushed: Profile, query: str, accept: str
) -> None:
    answer = caller.get(AT.format(pushed.version) + query, headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    drawn = tree.fromstring(answer.text)
    said = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {DEAR, CHEAP, "router", "expected quality, not measured"} <= said
    assert AWAY not in said
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    as_json = caller.get(f"{AT.format(pushed.version)}?format=json", headers={"Accept": "image/*"})
    assert as_json.mimetype == "application/json"


@pytest.mark.parametrize("version", ["0" * 16, "nothing", "%00", "ACTIVE"])
def test_a_version_that_is_not_there_is_named(caller: Caller, version: str) -> None:
    answer = caller.get(AT.format(version))
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (404, "version")
    wrong = caller.get(f"{AT.format('active')}?format=png")
    assert (wrong.status_code, wrong.get_json()["error"]["param"]) == (400, "format")
