"""What stands between servers and processes."""

from collections.abc import Callable

import pytest

from app.embedding import weights
from app.settings import Settings
from app.stack.demo import read_key
from app.stack.failure import StackError
from app.stack.prepare import prepare


def test_a_start_leaves_a_key_and_a_model(settings_for: Callable[..., Settings]) -> None:
    now = settings_for()
    prepare(now, print)
    assert read_key(now.home)
    [model] = (now.home / "models").glob("*.onnx")
    made = model.stat().st_mtime_ns
    prepare(now, print)
    assert model.stat().st_mtime_ns == made


def test_a_model_that_cannot_be_built_stops_the_start(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_model")
    with pytest.raises(StackError, match="all-MiniLM-L6-v2 cannot be built: the package"):
        prepare(settings_for(), print)
