"""Marks go along only where nobody who may answer refuses them."""

from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.web.front import Front, front
from app.web.marks import takes_marks
from app.web.schemas.conversations import Conversation

OWN = """
providers:
  claude: {kind: anthropic, base_url: "https://claude.example/v1"}
  other: {kind: openai, base_url: "https://other.example/v1"}
models:
  one: {context: 1000, max_output: 100, routes: [{provider: claude, model: c}]}
  both: {context: 1000, max_output: 100, routes: [
    {provider: claude, model: c}, {provider: other, model: c}]}
"""


@pytest.fixture
def made(tmp_path: Path) -> Front:
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    return front(Settings(catalogue=own, ollama_url="", data_dir=tmp_path))


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"model": "one"}, True),
        ({"model": "both"}, False),
        ({"model": "both", "provider": "claude"}, True),
        ({"model": "one", "fallbacks": ["both"]}, False),
        ({"model": "none"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_marks_are_taken_where_all_routes_lead_to_anthropic(
    made: Front, fields: dict[str, Any], taken: bool
) -> None:
    assert takes_marks(made, Conversation(**fields)) is taken
