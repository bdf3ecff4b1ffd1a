from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidRequest
from app.uniroute.fit import Choice, fit
from app.uniroute.profile import (
    Profile,
    default_profile,
    read_profile,
    with_model,
    with_prices,
    write_profile,
)
from tests.app.uniroute.worlds import MODELS, RIGHT, USD, world


@pytest.fixture
def profile() -> Profile:
    prompts, scored, _ = world(300)
    return fit(prompts, scored, USD, choice=Choice(3, 0.05, 2.0, 0.1), origin={"source": "a world"})


def test_what_is_written_is_read_again(profile: Profile, tmp_path: Path) -> None:
    write_profile(profile, tmp_path / "one.json")
    read = read_profile(tmp_path / "one.json")
    assert read.version == profile.version
    assert (read.models, read.origin) == (MODELS, {"source": "a world"})
    assert np.array_equal(read.error_vectors, profile.error_vectors)
    assert read.length_weight == 0.1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("temperature", 0, "temperature"),
        ("temperature", 0.06, "it was changed since it was written"),
        ("centres", [[1.0], [1.0, 2.0], [1.0]], "centres must have rows of one length"),
        ("counts", [[1.0]], "counts must be 3 by 4"),
        ("means", [0.5], "means must have 4 numbers"),
        ("models", ["b", "a", "c", "d"], "models must be sorted"),
        ("form", 2, "form must be 1"),
        ("more", 2, "more"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_by_its_field(
    profile: Profile, tmp_path: Path, field: str, value: Any, said: str
) -> None:
    path = tmp_path / "one.json"
    write_profile(profile, path)
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), field: value}))
    with pytest.raises(InvalidRequest, match=said) as refused:
        read_profile(path)
    assert "one.json" in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.json: No such file"):
        read_profile(tmp_path / "none.json")


def test_a_new_model_leaves_the_others_as_they_are(profile: Profile) -> None:
    prompts, scored, group = world(120, seed=7)
    points = prompts.points(profile.length_weight)
    wider = with_model(profile, "brand-new", points, scored.wrong[:, 2], 3.0, "a test")
    assert wider.models == ("any", "brand-new", "cheap", "code", "verse")
    old = [wider.models.index(name) for name in profile.models]
    assert np.array_equal(wider.error_vectors[:, old], profile.error_vectors)
    assert np.array_equal(wider.usd[old], profile.usd)
    assert np.array_equal(wider.centres, profile.centres)
    assert wider.version != profile.version
    new = wider.expected(points)[:, wider.models.index("brand-new")]
    told = [new[group == one].mean() for one in range(3)]
    assert np.allclose(told, 1 - RIGHT[:, 2], atol=0.15)
    assert wider.origin["model brand-new"] == "a test"


def test_a_few_right_answers_make_no_model_that_never_errs(profile: Profile) -> None:
    prompts, _, _ = world(5, seed=7)
    points = prompts.points(profile.length_weight)
    wider = with_model(profile, "lucky", points, np.zeros(5), 3.0, "a test")
    lucky = wider.error_vectors[:, wider.models.index("lucky")]
    assert 0.01 < lucky.min() <= lucky.max() <= 0.5 / 6 + 1e-6


def test_a_model_that_is_known_is_not_added_again(profile: Profile) -> None:
    with pytest.raises(InvalidRequest, match="code is in the profile already"):
        with_model(profile, "code", np.zeros((1, 385)), np.zeros(1), 1.0, "")


def test_other_prices_are_another_version(profile: Profile) -> None:
    assert with_prices(profile, USD * 2, "here").version != profile.version
    assert with_prices(profile, USD * 2, "here").origin["prices"] == "here"


def test_the_profile_that_comes_along_is_whole_and_tells_whence_it_is() -> None:
    shipped = default_profile()
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo"} <= set(shipped.models)
    assert {"mistral-large-latest", "mistral-small-latest"} <= set(shipped.models)
    assert "MIT" in shipped.origin["source"]
    assert "(c) 2025 Diogo Vieira" in shipped.origin["source"]
    assert shipped.centres.shape == (100, 385)
    vectors = shipped.error_vectors
    assert 0 < vectors.min() < vectors.max() < 1
    best, worst = (shipped.models.index(name) for name in ("gpt-4o", "codestral-latest"))
    assert (vectors[:, best] < vectors[:, worst]).mean() > 0.9
