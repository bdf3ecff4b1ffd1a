"""Feedback over real rows: what it moves, how far, and the way back."""

import psycopg
import pytest

from app.db.connect import Connection
from app.errors import Conflict, InvalidRequest, NotFound
from app.evolution import service, store
from app.evolution.drift import Bounds
from app.evolution.feedback.store import rated_job
from app.evolution.model import NewFeedback, Rollback
from app.jobs.store import forget
from tests.app.evolution.parts import (
    TERMS,
    answer,
    assert_holds,
    drifts,
    job,
    less,
    more,
    next_day,
    rate,
    roll_back,
    terms,
)
from tests.app.line import admit, tenant


@pytest.fixture
def mine(connection: Connection) -> str:
    return tenant(connection)


def test_who_gave_no_feedback_has_the_operators_traits(connection: Connection, mine: str) -> None:
    baseline = {"curious": 0.92, "calm": 0.123456}
    assert service.current_traits(connection, mine, baseline) == baseline
    rate(connection, mine, less("curious"))
    found = service.current_traits(connection, mine, baseline)
    assert found == {"curious": 0.91, "calm": 0.123456}
    narrow = service.current_traits(connection, mine, baseline, Bounds(4_000, 50_000))
    assert narrow == {"curious": 0.916, "calm": 0.123456}
    assert service.current_traits(connection, tenant(connection), baseline) == baseline


def test_feedback_says_what_it_moved(connection: Connection, mine: str) -> None:
    job_id = answer(connection, mine)
    new = NewFeedback(-1.0, "too protective", "Say it plainly.", {"empathetic": "more"})
    made = rate(connection, mine, new, of=job_id, key_id="key_me")
    assert (made.job_id, made.key_id, made.rating) == (job_id, "key_me", -1.0)
    assert (made.kind, made.model, made.provider) == ("chat.completion", "m", "builtin")
    assert (made.reason, made.correction) == ("too protective", "Say it plainly.")
    assert made.traits == {"empathetic": "more"}
    told = [(move.trait, move.start, move.end) for move in made.moves]
    assert told == [("empathetic", 880_000, 890_000), ("protective", 850_000, 840_000)]
    assert drifts(connection, mine) == {"empathetic": 10_000, "protective": -10_000}
    assert_holds(connection, mine)


def test_a_day_has_its_bound_and_all_days_have_theirs(connection: Connection, mine: str) -> None:
    for day in range(6):
        for _ in range(7):
            rate(connection, mine, less("curious"))
            assert_holds(connection, mine)
        assert drifts(connection, mine) == {"curious": -min(50_000 * (day + 1), 200_000)}
        next_day(connection, mine)
    assert service.status(connection, TERMS, mine, 1).generation == 20


def test_feedback_beyond_the_bound_moves_nothing_and_leaves_no_adaptation(
    connection: Connection, mine: str
) -> None:
    narrow = terms(daily=15_000)
    moves = [rate(connection, mine, less("curious"), under=narrow).moves for _ in range(3)]
    assert [[move.end - move.start for move in made] for made in moves] == [[-10_000], [-5_000], []]


def test_later_feedback_on_a_job_replaces_the_earlier_and_what_it_moved(
    connection: Connection, mine: str
) -> None:
    job_id = answer(connection, mine)
    first = rate(connection, mine, more("protective"), of=job_id)
    second = rate(connection, mine, less("curious"), of=job_id)
    assert drifts(connection, mine) == {"curious": -10_000}
    status = service.status(connection, TERMS, mine, 9)
    assert (status.generation, status.adaptations) == (1, 2)
    kinds = [(change.kind, change.trait, change.feedback_id) for change in status.changes]
    assert kinds == [
        ("feedback", "curious", second.id),
        ("replaced", "protective", second.id),
        ("feedback", "protective", first.id),
    ]
    assert status.changes[2].undone_by == status.changes[1].id
    rate(connection, mine, NewFeedback(0.0), of=job_id)
    assert drifts(connection, mine) == {}
    assert_holds(connection, mine)


def test_replacing_is_bounded_by_the_day_as_all_feedback_is(
    connection: Connection, mine: str
) -> None:
    job_id = answer(connection, mine)
    wide, narrow = terms(daily=8_000), terms(daily=3_000)
    rate(connection, mine, more("protective"), of=job_id, under=wide)
    next_day(connection, mine)
    rate(connection, mine, less("protective"), of=job_id, under=narrow)
    assert drifts(connection, mine, narrow) == {"protective": 5_000}
    [left] = store.standing(connection, mine)
    assert left.kept == 5_000
    assert_holds(connection, mine, narrow)
    roll_back(connection, mine, Rollback(), narrow)
    assert drifts(connection, mine, narrow) == {}


def test_rating_one_job_again_and_again_moves_no_further_than_once(
    connection: Connection, mine: str
) -> None:
    job_id = answer(connection, mine)
    for _ in range(4):
        rate(connection, mine, more("protective"), of=job_id)
    assert drifts(connection, mine) == {"protective": 10_000}


def test_praise_of_what_was_asked_for_moves_towards_it(connection: Connection, mine: str) -> None:
    for wanted in (
        {"personality_traits": {"protective": 0.5, "unknown": 1}},
        {"extra_body": {"personality_traits": {"protective": 0.5}}},
    ):
        rate(connection, mine, NewFeedback(1.0), of=answer(connection, mine, asked=wanted))
    assert drifts(connection, mine) == {"protective": -5_000}
    silent = answer(connection, mine, asked={"personality_traits": {"curious": 0}}, kind="image")
    rate(connection, mine, NewFeedback(-1.0), of=silent)
    assert drifts(connection, mine) == {"protective": -2_500}


def test_a_rollback_of_one_adaptation_leaves_the_others(connection: Connection, mine: str) -> None:
    made = [rate(connection, mine, less("curious")).moves[0].id for _ in range(3)]
    rate(connection, mine, more("protective"))
    roll_back(connection, mine, Rollback(change_id=made[1]))
    assert drifts(connection, mine) == {"curious": -20_000, "protective": 10_000}
    status = service.status(connection, TERMS, mine, 9)
    assert (status.generation, status.adaptations) == (3, 4)
    undoing = status.changes[0]
    assert (undoing.kind, undoing.before, undoing.after) == ("rollback", -30_000, -20_000)
    assert undoing.actor == "key_x"
    undone = store.find_change(connection, mine, made[1])
    assert undone is not None
    assert (undone.kept, undone.undone_by) == (0, undoing.id)
    assert_holds(connection, mine)


def test_a_rollback_to_a_generation_undoes_what_came_after(
    connection: Connection, mine: str
) -> None:
    for new in (less("curious"), more("protective"), less("curious"), less("empathetic")):
        rate(connection, mine, new)
    roll_back(connection, mine, Rollback(to_generation=2))
    assert drifts(connection, mine) == {"curious": -10_000, "protective": 10_000}
    assert service.status(connection, TERMS, mine, 1).generation == 2
    roll_back(connection, mine, Rollback(to_generation=2))
    assert service.status(connection, TERMS, mine, 99).changes[0].seq == 6
    assert_holds(connection, mine)


def test_a_rollback_to_the_baseline_is_whole_however_far_the_traits_have_gone(
    connection: Connection, mine: str
) -> None:
    for _ in range(4):
        for _ in range(6):
            rate(connection, mine, less("curious"))
        next_day(connection, mine)
    assert drifts(connection, mine) == {"curious": -200_000}
    roll_back(connection, mine, Rollback())
    assert drifts(connection, mine) == {}
    assert_holds(connection, mine)
    # From here feedback has the day's bound again, and no more.
    for _ in range(9):
        rate(connection, mine, less("curious"))
    assert drifts(connection, mine) == {"curious": -50_000}
    assert_holds(connection, mine)
    assert service.status(connection, TERMS, mine, 1).adaptations == 25


def test_an_undone_move_whose_rest_would_break_the_bound_trims_the_newest(
    connection: Connection, mine: str
) -> None:
    narrow = terms(total=10_000)
    rate(connection, mine, more("protective"), under=narrow)
    back = rate(connection, mine, less("protective"), under=narrow).moves[0].id
    rate(connection, mine, more("protective"), under=narrow)
    roll_back(connection, mine, Rollback(change_id=back), narrow)
    assert drifts(connection, mine, narrow) == {"protective": 10_000}
    assert [one.kept for one in store.standing(connection, mine)] == [10_000]
    assert_holds(connection, mine, narrow)


def test_what_cannot_be_rolled_back_is_refused(connection: Connection, mine: str) -> None:
    change = rate(connection, mine, less("curious")).moves[0].id
    other = tenant(connection)
    with pytest.raises(NotFound) as there:
        roll_back(connection, other, Rollback(change_id=change))
    assert there.value.param == "change_id"
    with pytest.raises(InvalidRequest, match="current generation is 1") as wrong:
        roll_back(connection, mine, Rollback(to_generation=2))
    assert wrong.value.param == "to_generation"
    roll_back(connection, mine, Rollback(change_id=change))
    with pytest.raises(Conflict, match="does not stand"):
        roll_back(connection, mine, Rollback(change_id=change))
    [undoing, _] = service.status(connection, TERMS, mine, 9).changes
    with pytest.raises(Conflict, match="Only an adaptation"):
        roll_back(connection, mine, Rollback(change_id=undoing.id))


def test_narrower_bounds_hold_at_once_and_are_kept_at_the_next_write(
    connection: Connection, mine: str
) -> None:
    made = [rate(connection, mine, less("curious")).moves[0].id for _ in range(5)]
    narrow = terms(total=22_000)
    assert drifts(connection, mine, narrow) == {"curious": -22_000}
    assert drifts(connection, mine) == {"curious": -50_000}
    assert service.status(connection, narrow, mine, 1).holds
    rate(connection, mine, more("curious"), under=narrow)
    assert drifts(connection, mine) == {"curious": -12_000}
    assert_holds(connection, mine, narrow)
    changes = service.status(connection, TERMS, mine, 2).changes
    told = [(c.kind, c.before, c.after) for c in changes]
    assert told == [("feedback", -22_000, -12_000), ("bound", -50_000, -22_000)]
    # The newest were trimmed, and what stands can still be undone.
    assert [one.kept for one in store.standing(connection, mine)] == [
        -10_000, -10_000, -2_000, 10_000,
    ]  # fmt: skip
    roll_back(connection, mine, Rollback(change_id=made[0]), narrow)
    assert drifts(connection, mine, narrow) == {"curious": -2_000}
    roll_back(connection, mine, Rollback(), narrow)
    assert drifts(connection, mine, narrow) == {}
    assert_holds(connection, mine, narrow)


def test_a_trait_goes_with_its_baseline(connection: Connection, mine: str) -> None:
    rate(connection, mine, more("curious"))
    moved = terms(curious=100_000)
    [state] = service.status(connection, moved, mine, 1).traits
    assert (state.baseline, state.drift.now) == (100_000, 10_000)
    full = terms(curious=995_000)
    assert drifts(connection, mine, full) == {"curious": 5_000}
    rate(connection, mine, less("curious"), under=full)
    assert drifts(connection, mine, full) == {"curious": -5_000}
    assert_holds(connection, mine, full)


def test_a_trait_that_the_operator_took_away_is_not_shown_and_can_still_be_undone(
    connection: Connection, mine: str
) -> None:
    rate(connection, mine, more("curious"))
    fewer = terms(calm=500_000)
    assert drifts(connection, mine, fewer) == {}
    assert service.current_traits(connection, mine, {"calm": 0.5}) == {"calm": 0.5}
    roll_back(connection, mine, Rollback(), fewer)
    assert drifts(connection, mine) == {}
    assert_holds(connection, mine)


def test_a_bound_of_nothing_lets_nothing_move(connection: Connection, mine: str) -> None:
    for bounds in (terms(total=0), terms(daily=0)):
        rate(connection, mine, more("curious"), under=bounds)
        assert drifts(connection, mine, bounds) == {}


def test_what_cannot_be_rated_is_refused(connection: Connection, mine: str) -> None:
    with pytest.raises(InvalidRequest, match="protective, curious, empathetic") as wrong:
        rate(connection, mine, more("patient"))
    assert wrong.value.param == "traits.patient"
    with pytest.raises(InvalidRequest, match="Only answers of a model"):
        rate(connection, mine, NewFeedback(1.0), of=answer(connection, mine, model=""))
    [waiting] = admit(connection, mine)
    with pytest.raises(Conflict, match="has not ended"):
        rate(connection, mine, NewFeedback(1.0), of=waiting)
    assert drifts(connection, mine) == {}


def test_what_is_said_of_an_answer_goes_with_it(connection: Connection, mine: str) -> None:
    new = NewFeedback(1.0, "so caring", "better")
    job_id = answer(connection, mine)
    rate(connection, mine, new, of=job_id)
    assert forget(connection, [job_id], "job_deletion") == [job_id]
    row = connection.execute("SELECT rating, reason, correction FROM feedback").fetchone()
    assert row == (1.0, None, None)
    again = rate(connection, mine, NewFeedback(1.0, "so curious", "better"), of=job_id)
    assert (again.reason, again.correction) == (None, None)
    assert drifts(connection, mine) == {"curious": 10_000}


def test_only_a_tenants_own_jobs_are_rated_and_only_its_own_traits_move(
    connection: Connection, mine: str
) -> None:
    other = tenant(connection)
    job_id = answer(connection, mine)
    assert rated_job(connection, other, job_id) is None
    rate(connection, mine, less("curious"), of=job_id)
    assert drifts(connection, other) == {}
    status = service.status(connection, TERMS, other, 9)
    assert (status.generation, status.adaptations, status.changes) == (0, 0, ())
    roll_back(connection, other, Rollback())
    assert drifts(connection, mine) == {"curious": -10_000}


def test_an_answer_without_content_is_read_as_one_that_asked_for_nothing(
    connection: Connection, mine: str
) -> None:
    told = {"memory": {"used": [{"id": "mem_a"}, {"no": "id"}, "x", {"id": "mem_a"}]}}
    assert job(connection, mine, answer(connection, mine, told=told)).used == ("mem_a",)
    for odd in ("odd", {"curious": 1e300, "protective": "much", "empathetic": -1}):
        asked = {"personality_traits": odd, "extra_body": 3}
        found = job(connection, mine, answer(connection, mine, asked=asked, told={"memory": []}))
        assert (found.asked, found.used) == ({}, ())


def test_the_database_refuses_what_breaks_a_bound_and_to_rewrite_history(
    connection: Connection, mine: str
) -> None:
    rate(connection, mine, less("curious"))
    for statement, constraint in (
        ("UPDATE trait_drift SET drift = -200001", "drift_in_total"),
        ("UPDATE trait_drift SET drift = -50001", "drift_of_day"),
        ("UPDATE trait_drift SET drift = 1, baseline = 1000000", "drift_is_a_trait"),
        ("UPDATE trait_change SET kept = -10001", "change_keeps_its_own"),
        ("UPDATE trait_change SET after = 0", "never rewritten"),
        ("DELETE FROM trait_change", "never rewritten"),
        ("TRUNCATE trait_change", "never rewritten"),
    ):
        with pytest.raises(psycopg.Error, match=constraint):
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("altered", "check"),
    [
        ("UPDATE trait_change SET after = after - 1", "where the last one ended"),
        ("UPDATE trait_change SET day_start = 7 WHERE seq = 2", "a day begins with"),
        ("UPDATE trait_drift SET drift = drift + 1", "where its last move left it"),
        ("UPDATE trait_change SET kept = 0 WHERE seq = 1", "what stands of its adaptations"),
        ("DELETE FROM trait_change WHERE seq = 1", "no move is missing"),
        (
            "ALTER TABLE trait_drift DROP CONSTRAINT drift_in_total;"
            "UPDATE trait_drift SET bound_total = 1",
            "a trait keeps the bounds",
        ),
        (
            "ALTER TABLE trait_change DROP CONSTRAINT change_of_day;"
            "UPDATE trait_change SET bound_daily = 1",
            "so did each move",
        ),
    ],
)
def test_altered_rows_are_found(
    connection: Connection, mine: str, altered: str, check: str
) -> None:
    for _ in range(2):
        rate(connection, mine, less("curious"))
    other = tenant(connection)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in altered.split(";"):
            connection.execute(statement.encode())
        broken = store.violations(connection, mine)
        assert any(check in one.check for one in broken), broken
        assert store.violations(connection) == broken
        assert store.violations(connection, other) == []
        assert not service.status(connection, TERMS, mine, 1).holds
