from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidRequest
from app.uniroute.published import published_profile


def table(spread: float, clusters: int = 20, prompts: int = 30) -> dict[str, Any]:
    """Errors of two models, which differ from cluster to cluster by `spread`."""
    random = np.random.default_rng(0)
    models = {}
    for name, mean in (("a", 0.3), ("b", 0.5)):
        truth = np.clip(mean + random.choice([-spread, spread], clusters), 0, 1)
        models[name] = {
            "psi": (random.binomial(prompts, truth) / prompts).tolist(),
            "cluster_sample_counts": [float(prompts)] * clusters,
            "usd_per_1k_tokens": 0.002,
        }
    return {"source": "a test, MIT", "centroids": np.eye(clusters, 384).tolist(), "models": models}


def written(folder: Path, value: Any) -> Path:
    path = folder / "file.json"
    path.write_bytes(orjson.dumps(value))
    return path


def test_errors_that_are_real_are_kept_and_noise_is_smoothed_away(tmp_path: Path) -> None:
    real = published_profile(written(tmp_path, table(0.25)))
    noise = published_profile(written(tmp_path, table(0.0)))
    assert real.error_vectors.std(axis=0).min() > 0.15
    assert noise.error_vectors.std(axis=0).max() < 0.04
    assert np.allclose(real.error_vectors.mean(axis=0), real.means, atol=0.05)


def test_prices_and_source_are_kept(tmp_path: Path) -> None:
    profile = published_profile(written(tmp_path, table(0.25)))
    assert profile.usd.tolist() == [2.0, 2.0]
    assert profile.origin["source"] == "a test, MIT"
    assert np.allclose(profile.counts.sum(axis=0), 20 * 30)
    assert profile.version == published_profile(written(tmp_path, table(0.25))).version


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"centroids": [[0.0]]}, "centroids.0 must have 384 numbers"),
        ({"models": {}}, "models"),
        ({"models": {"a": {"psi": [0.1]}}}, "models.a.cluster_sample_counts"),
        (
            {"models": {"a": {"psi": [0.1], "cluster_sample_counts": [1], "usd_per_1k_tokens": 1}}},
            "models.a.psi must have 20 numbers",
        ),
        (
            {
                "models": {
                    "a": {
                        "psi": [2.0] * 20,
                        "cluster_sample_counts": [1] * 20,
                        "usd_per_1k_tokens": 1,
                    }
                }
            },
            "models.a must have shares",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        published_profile(written(tmp_path, {**table(0.1), **change}))
