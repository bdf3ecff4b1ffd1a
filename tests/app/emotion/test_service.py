"""What turns, ripples and resets do, and to whom."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.emotion import ripples, service
from app.emotion.impulse import impulse_of
from app.emotion.ripples import RIPPLES_MAX, caught, vector_of
from app.emotion.service import Emotions
from app.emotion.state import Pad, scaled, shown
from app.emotion.traits import baseline_of
from app.emotion.words import primary_emotion
from app.errors import Conflict, InvalidRequest
from app.settings import Settings
from tests.app.emotion.feelings import SHIPPED, near, reading
from tests.app.line import tenant

Make = Callable[..., Emotions]


@pytest.fixture
def make(line_settings: Callable[..., Settings]) -> Iterator[Make]:
    """Makes Emotions that read in a text the label that it says."""
    settings = line_settings()
    reads = Reads(settings.postgres, "test")

    def made(personality: Any = SHIPPED) -> Emotions:
        return Emotions(reads, settings, personality, lambda text: reading(text, 0.8))

    yield made
    reads.close()


@pytest.fixture
def emotions(make: Make) -> Emotions:
    return make()


def test_a_turn_moves_a_new_session_from_its_baseline(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    felt = emotions.turn(mine, "s", "joy", "job_1", None)
    expected = shown(baseline_of(SHIPPED), impulse_of(reading("joy", 0.8), SHIPPED).vector)
    assert near(felt.pad, expected)
    assert felt.traits == SHIPPED
    assert (felt.reading.primary, felt.confidence) == ("joy", 0.8)
    assert felt.primary == primary_emotion(felt.pad)
    state = emotions.state(mine, "s")
    assert state is not None
    assert near(state.pad, expected, 1e-2)
    assert (state.turns, state.traits, state.baseline) == (1, SHIPPED, baseline_of(SHIPPED))


def test_without_a_session_nothing_is_stored(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    felt = emotions.turn(mine, None, "sadness", "job_1", {"empathetic": 1.0})
    traits = {**SHIPPED, "empathetic": 1.0}
    assert felt.traits == traits
    assert felt.pad == shown(baseline_of(traits), impulse_of(felt.reading, traits).vector)
    assert connection.execute("SELECT count(*) FROM emotion_session").fetchone() == (0,)


def test_named_traits_stay_with_the_session_and_move_its_baseline(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "s", "neutral", "job_1", {"empathetic": 0.9, "supportive": 0.85})
    felt = emotions.turn(mine, "s", "neutral", "job_2", {"supportive": 0.1, "calm": 1.0})
    traits = {**SHIPPED, "empathetic": 0.9, "supportive": 0.1, "calm": 1.0}
    assert felt.traits == traits
    state = emotions.state(mine, "s")
    assert state is not None
    assert state.baseline == baseline_of(traits)


def test_a_tenants_own_personality_reaches_its_sessions_with_the_next_turn(
    make: Make, connection: Connection
) -> None:
    one, two = tenant(connection), tenant(connection)
    traits = {one: {"curious": 0.1}, two: {"curious": 0.9}}
    emotions = make(lambda it, tenant_id: traits[tenant_id])
    assert emotions.turn(one, "s", "joy", "job_1", {"calm": 0.9}).traits["curious"] == 0.1
    assert emotions.turn(two, "s", "joy", "job_2", None).traits == {"curious": 0.9}
    traits[one] = {"curious": 0.2}
    felt = emotions.turn(one, "s", "joy", "job_3", None)
    assert felt.traits == {"curious": 0.2, "calm": 0.9}


def test_a_second_attempt_of_a_turn_adds_nothing(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    first = emotions.turn(mine, "s", "joy", "job_1", None)
    again = emotions.turn(mine, "s", "joy", "job_1", {"calm": 1.0})
    assert near(again.pad, first.pad, 1e-2)
    assert again.traits == first.traits
    state = emotions.state(mine, "s")
    assert state is not None
    assert state.turns == 1
    assert len(emotions.history(mine, "s", 10)) == 1


def test_a_reset_brings_back_the_baseline(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "s", "anger", "job_1", {"calm": 0.9})
    emotions.ripple(mine, "s", "fear", 1, 3600, "", "job_2")
    state = emotions.reset(mine, "s")
    assert state is not None
    assert state.pad == state.baseline == baseline_of({**SHIPPED, "calm": 0.9})
    last = emotions.history(mine, "s", 1)[0].event
    assert (last.kind, last.emotion, last.trigger) == ("reset", "neutral", "reset")


def test_what_is_not_there_is_not_reset_nor_told(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    assert emotions.reset(mine, "s") is None
    assert emotions.state(mine, "s") is None
    assert emotions.history(mine, "s", 5) == []
    assert not emotions.forget(mine, "s")
    assert connection.execute("SELECT count(*) FROM emotion_session").fetchone() == (0,)


def test_a_ripple_begins_a_session_that_is_not_there(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    done = emotions.ripple(mine, "s", " Joy", 0.8, 300, "Good news", "job_1")
    assert (done.emotion, done.intensity, done.duration, done.reached) == ("joy", 0.8, 300, 0)
    assert near(done.state.pad, shown(baseline_of(SHIPPED), vector_of("joy", 0.8)))
    assert [one.session_id for one in emotions.active(mine)] == ["s"]


def test_a_ripple_reaches_the_active_ones_by_the_stated_share(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    open_one, closed = {"empathetic": 1.0}, {"empathetic": 0.0}
    emotions.turn(mine, "open", "neutral", "job_1", open_one)
    emotions.turn(mine, "closed", "neutral", "job_2", closed)
    emotions.turn(mine, "asleep", "neutral", "job_3", open_one)
    connection.execute(
        "UPDATE emotion_session SET active_at = now() - interval '20 minutes' "
        "WHERE session_id = 'asleep'"
    )
    emotions.turn(mine, "source", "neutral", "job_4", {"extraversion": 1.0})
    done = emotions.ripple(mine, "source", "joy", 0.8, 300, "A secret of one user", "job_5")
    assert done.reached == 1
    caught_by_it = emotions.history(mine, "open", 1)[0].event
    share = caught({**SHIPPED, "extraversion": 1.0}, {**SHIPPED, **open_one})
    assert share == pytest.approx(0.5)
    assert caught_by_it.kind == "contagion"
    assert caught_by_it.intensity == pytest.approx(0.4)
    assert near(caught_by_it.impulse, scaled(Pad(0.4, 0.2, 0.1), 0.4))
    assert (caught_by_it.trigger, caught_by_it.duration) == ("contagion", 300)
    for name in ("closed", "asleep"):
        assert [entry.event.kind for entry in emotions.history(mine, name, 9)] == ["turn"]


def test_what_was_caught_is_not_passed_on(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    for name in ("a", "b", "c"):
        emotions.turn(mine, name, "neutral", f"job_{name}", None)
    emotions.ripple(mine, "a", "joy", 1, 300, "", "job_1")
    for name in ("b", "c"):
        kinds = [entry.event.kind for entry in emotions.history(mine, name, 9)]
        assert kinds == ["turn", "contagion"]


def test_a_second_attempt_of_a_ripple_adds_nothing(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "b", "neutral", "job_b", None)
    first = emotions.ripple(mine, "a", "joy", 1, 300, "", "job_1")
    emotions.turn(mine, "c", "neutral", "job_c", None)
    again = emotions.ripple(mine, "a", "joy", 1, 300, "", "job_1")
    assert (first.reached, again.reached) == (1, 1)
    assert near(again.state.pad, first.state.pad, 1e-2)
    assert len(emotions.history(mine, "a", 9)) == 1
    assert len(emotions.history(mine, "b", 9)) == 2
    assert len(emotions.history(mine, "c", 9)) == 1


def test_another_tenants_session_of_the_same_name_is_another(
    emotions: Emotions, connection: Connection
) -> None:
    mine, other = tenant(connection), tenant(connection)
    for owner in (mine, other):
        emotions.turn(owner, "s", "neutral", "job_1", None)
    before = emotions.history(other, "s", 9)
    emotions.turn(mine, "s", "anger", "job_2", {"calm": 0.0})
    emotions.ripple(mine, "s", "fear", 1, 300, "", "job_3")
    emotions.reset(mine, "s")
    assert emotions.history(other, "s", 9) == before
    theirs = emotions.state(other, "s")
    assert theirs is not None
    assert (theirs.turns, theirs.traits) == (1, SHIPPED)
    assert near(theirs.pad, baseline_of(SHIPPED))
    assert emotions.forget(mine, "s")
    assert emotions.state(other, "s") is not None
    assert [one.tenant_id for one in emotions.active(other)] == [other]
    assert [len(one) for one in emotions.trend(other, 60)] == [1]


def test_a_session_that_is_another_tenants_is_not_there(
    emotions: Emotions, connection: Connection
) -> None:
    mine, other = tenant(connection), tenant(connection)
    emotions.turn(other, "theirs", "joy", "job_1", None)
    assert emotions.state(mine, "theirs") is None
    assert emotions.reset(mine, "theirs") is None
    assert emotions.history(mine, "theirs", 9) == []
    assert emotions.sessions(mine, None, 9) == emotions.active(mine) == []
    assert emotions.trend(mine, 60) == []
    assert not emotions.forget(mine, "theirs")
    assert emotions.ripple(mine, "mine", "fear", 1, 60, "", "job_2").reached == 0
    assert len(emotions.history(other, "theirs", 9)) == 1


def test_a_tenants_session_is_not_active_because_anothers_of_its_name_is(
    emotions: Emotions, connection: Connection
) -> None:
    mine, other = tenant(connection), tenant(connection)
    for owner in (mine, other):
        emotions.turn(owner, "s", "neutral", "job_1", None)
    connection.execute(
        "UPDATE emotion_session SET active_at = now() - interval '1 day' WHERE tenant_id = %s",
        (mine,),
    )
    assert emotions.ripple(mine, "t", "joy", 1, 60, "", "job_2").reached == 0


@pytest.mark.parametrize(
    ("emotion", "intensity", "duration", "param"),
    [
        ("joyfulness", 0.5, 60, "emotion"),
        ("neutral", 0.5, 60, "emotion"),
        ("joy", 0.0, 60, "intensity"),
        ("joy", 1.1, 60, "intensity"),
        ("joy", float("nan"), 60, "intensity"),
        ("joy", 0.5, 0, "duration"),
        ("joy", 0.5, 86_401, "duration"),
        ("joy", 0.5, float("inf"), "duration"),
    ],
)
def test_a_ripple_out_of_bounds_is_refused_by_its_field(
    emotions: Emotions, connection: Connection, emotion: str, intensity: float, duration: float,
    param: str,
) -> None:  # fmt: skip
    mine = tenant(connection)
    with pytest.raises(InvalidRequest) as refused:
        emotions.ripple(mine, "s", emotion, intensity, duration, "", "job_1")
    assert refused.value.param == param
    assert emotions.state(mine, "s") is None


def test_a_session_takes_so_many_ripples_at_once_and_no_more(
    emotions: Emotions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    assert ripples.RIPPLES_MAX == RIPPLES_MAX > 100
    monkeypatch.setattr(service, "RIPPLES_MAX", 2)
    emotions.turn(mine, "near", "neutral", "job_n", None)
    for number in range(2):
        emotions.ripple(mine, "s", "joy", 0.1, 300, "", f"job_{number}")
    with pytest.raises(Conflict, match="2 ripples"):
        emotions.ripple(mine, "s", "joy", 0.1, 300, "", "job_2")
    assert emotions.ripple(mine, "t", "joy", 0.1, 300, "", "job_3").reached == 0
    emotions.reset(mine, "s")
    assert emotions.ripple(mine, "s", "joy", 0.1, 300, "", "job_2").reached == 1


def test_sessions_are_told_in_pages(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    for name in ("b", "a"):
        emotions.turn(mine, name, "joy", f"job_{name}", None)
    assert [one.session_id for one in emotions.sessions(mine, None, 5)] == ["a", "b"]
    assert [one.session_id for one in emotions.sessions(mine, "a", 5)] == ["b"]


def test_the_history_told_is_the_newest_last(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    for number, felt in enumerate(("joy", "fear", "anger")):
        emotions.turn(mine, "s", felt, f"job_{number}", None)
    assert [entry.event.emotion for entry in emotions.history(mine, "s", 2)] == ["fear", "anger"]
