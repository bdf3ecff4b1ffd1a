"""What a web process refuses to start with."""

from pathlib import Path

import pytest

from app.catalogue.load import CatalogueError
from app.settings import Settings
from app.web.front import front


def test_a_personality_with_an_unknown_trait_does_not_start(folder: Path) -> None:
    path = folder / "catalogue.yaml"
    path.write_text("personality: {curius: 0.9}")
    with pytest.raises(CatalogueError, match=r"personality\.curius"):
        front(Settings(data_dir=folder, catalogue=path))
