"""Feedback in a profile: its bounds hold whatever is said, by whomever and in whichever order."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.uniroute.heard import ERROR_FLOOR, TENANT_SHARE, with_feedback
from app.uniroute.model import Lesson
from app.uniroute.profile import Profile, make, parse_profile, profile_text

MODELS = ("careful", "hasty", "perfect")
CLUSTERS = 3
MOST = TENANT_SHARE / (1 + TENANT_SHARE)
ROUNDED = 1e-5


def profile() -> Profile:
    counts = np.array([[20.0, 20, 20], [5, 5, 5], [0, 0, 0]])
    errors = np.array([[2.0, 15, 0], [1, 4, 0], [0, 0, 0]])
    return make(
        MODELS, np.eye(CLUSTERS, 385), (counts, errors), np.array([0.12, 0.76, 0.0]), np.ones(3),
        temperature=0.05, shrinkage=2.0, length_weight=0.0, tokens=14, origin={"source": "a test"},
    )  # fmt: skip


shares = st.dictionaries(st.integers(0, CLUSTERS), st.floats(0, 1), max_size=CLUSTERS)
lessons = st.lists(
    st.builds(
        Lesson,
        st.sampled_from(["ten_a", "ten_b", "ten_c"]),
        st.sampled_from([*MODELS, "unknown"]),
        shares,
        st.floats(0, 1),
    ),
    max_size=60,
)


def said(count: int, wrong: float, tenant: str = "ten_a", model: str = "careful") -> list[Lesson]:
    return [Lesson(tenant, model, {0: 0.75, 1: 0.25}, wrong)] * count


@given(lessons, st.randoms())
def test_the_order_of_lessons_does_not_matter(given_lessons: list[Lesson], random: Random) -> None:
    others = list(given_lessons)
    random.shuffle(others)
    first, second = (with_feedback(profile(), one, "s") for one in (given_lessons, others))
    assert first.version == second.version


@given(lessons)
def test_no_expected_error_leaves_its_bounds(given_lessons: list[Lesson]) -> None:
    before = profile().error_vectors
    after = with_feedback(profile(), given_lessons, "s").error_vectors
    assert (after >= np.minimum(ERROR_FLOOR, before) - ROUNDED).all()
    assert (after <= np.maximum(1 - ERROR_FLOOR, before) + ROUNDED).all()


@given(lessons)
def test_one_tenant_moves_an_expected_error_by_its_share_at_most(
    given_lessons: list[Lesson],
) -> None:
    alone = [Lesson("ten_a", one.model, one.clusters, one.wrong) for one in given_lessons]
    before = profile().error_vectors
    after = with_feedback(profile(), alone, "s").error_vectors
    assert (abs(after - before) <= MOST * np.maximum(before, 1 - before) + ROUNDED).all()


def test_a_thousand_ratings_of_one_tenant_weigh_no_more_than_its_share() -> None:
    before = profile().error_vectors[0, 0]
    after = with_feedback(profile(), said(1000, 1.0), "s").error_vectors[0, 0]
    assert after == pytest.approx(before + MOST * (1 - before), abs=1e-4)


def test_more_tenants_move_it_further_and_never_to_the_end() -> None:
    tenants = [one for n in range(3000) for one in said(5, 1.0, f"ten_{n}")]
    after = with_feedback(profile(), tenants, "s").error_vectors
    assert after[0, 0] == pytest.approx(1 - ERROR_FLOOR, abs=ROUNDED)
    good = with_feedback(profile(), [one for n in range(3000) for one in said(5, 0.0, f"t{n}")], "")
    assert good.error_vectors[0, 0] == pytest.approx(ERROR_FLOOR, abs=ROUNDED)


def test_a_few_ratings_count_as_so_many_prompts() -> None:
    heard = with_feedback(profile(), said(1, 1.0) + said(1, 0.0), "two ratings")
    assert heard.counts[0, 0] == 21.5
    assert heard.errors[0, 0] == pytest.approx(2.75)
    assert heard.counts[1, 0] == 5.5
    assert heard.origin == {"source": "a test", "feedback": "two ratings"}


def test_what_nobody_rated_stays_as_it_is() -> None:
    heard = with_feedback(profile(), said(3, 1.0), "s")
    assert (heard.counts[:, 1:] == profile().counts[:, 1:]).all()
    assert (heard.errors[:, 1:] == profile().errors[:, 1:]).all()
    assert (heard.centres == profile().centres).all()
    assert heard.means.tolist() == profile().means.tolist()


def test_a_profile_with_feedback_is_read_as_it_was_written() -> None:
    heard = with_feedback(profile(), said(3, 0.4), "s")
    again = parse_profile(profile_text(heard), "here")
    assert again.version == heard.version
    assert (again.error_vectors == heard.error_vectors).all()
