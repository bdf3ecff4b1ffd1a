"""An outage of a provider is the platform's to hide: each kind of it, under load."""

import pytest

from tests.chaos.outage import drill, table

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("drills")]

PHASE_S = 1.5
FAILURES_MAX = 10


def test_a_backup_hides_each_outage_and_the_primary_comes_back_by_itself() -> None:
    with drill(PHASE_S) as running:
        phases = running.run()
        told = table(phases)
        assert running.primary()["state"] == "closed"
    for phase in phases:
        assert phase.wrong == [], told
        if phase.mode == "well":
            assert phase.by("primary") > 0.5 * len(phase.seconds), told
        else:
            assert 1 <= phase.failed("first") <= FAILURES_MAX, told
            assert phase.by("backup") > 0, told
            assert phase.by("primary") > 0, told
