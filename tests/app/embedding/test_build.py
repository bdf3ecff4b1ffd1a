"""The model's file in the data directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedding import build, weights
from app.embedding.weights import ModelUnfit

BUILD = """
import sys
from pathlib import Path
from app.embedding import build
made, plain = [], build._build
def counted(path, model):
    made.append(path)
    plain(path, model)
build._build = counted
print(build.model_file(Path(sys.argv[1])), len(made))
"""


def test_processes_that_start_at_once_build_it_once(folder: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(folder)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    told = [process.communicate(timeout=100)[0].split() for process in started]
    assert len({path for path, _ in told}) == 1
    assert sum(int(made) for _, made in told) == 1
    path = Path(told[0][0])
    assert path.parent == folder / "models"
    assert {found.suffix for found in path.parent.iterdir()} == {".onnx", ".lock"}
    assert 20e6 < path.stat().st_size < 30e6


def test_what_is_there_is_used(folder: Path) -> None:
    path = folder / "models" / f"{build.MINILM.name}-{build._version(build.MINILM)}.onnx"
    path.parent.mkdir()
    path.write_bytes(b"as good as built")
    assert build.model_file(folder) == path
    assert path.read_bytes() == b"as good as built"


def test_other_weights_have_a_file_of_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build._version(build.MINILM)
    monkeypatch.setitem(weights.SHA256, weights.WEIGHTS, "0" * 64)
    assert build._version(build.MINILM) != before
    with pytest.raises(ModelUnfit):
        build.model_file(folder)
    assert [name for name in os.listdir(folder / "models") if not name.endswith(".lock")] == []
