"""Sessions in Postgres, whoever comes at once."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from app.db.connect import Connection, connect
from app.emotion import store
from app.emotion.reading.model import Reading
from app.emotion.replay import divergence
from app.emotion.ripples import contribution
from app.emotion.service import Emotions
from app.emotion.session import Entry, Session, after, feeling
from app.emotion.state import REST, Pad, clamped, total
from app.errors import NotFound
from app.settings import Settings
from tests.app.emotion.feelings import HALF_LIFE, SHIPPED, near, reading
from tests.app.line import tenant

FELT = ("joy", "sadness", "anger", "gratitude", "fear", "curiosity")
THREADS = 10


class OneConnection:
    """Stands where Reads does: a thread's own connection."""

    def __init__(self, url: str) -> None:
        self._connection = connect(url, "test")

    def run(self, function: Callable[[Connection], Any]) -> Any:
        return function(self._connection)

    def close(self) -> None:
        self._connection.close()


def read(text: str) -> Reading:
    """Reads a text that says its own label."""
    return reading(text, 0.8)


class Crowd:
    """Emotions for several threads at once, each with a connection of its own."""

    def __init__(self, settings: Settings, personality: Any = SHIPPED) -> None:
        self._lines = [OneConnection(settings.postgres) for _ in range(THREADS)]
        self.emotions = [
            Emotions(line, settings, personality, read)  # type: ignore[arg-type]
            for line in self._lines
        ]

    def all(self, work: list[Callable[[Emotions], Any]]) -> list[Any]:
        """Does all of `work`, THREADS at once. Raises what one of it raises."""
        shares = [work[start::THREADS] for start in range(THREADS)]

        def share(one: tuple[Emotions, list[Callable[[Emotions], Any]]]) -> list[Any]:
            return [do(one[0]) for do in one[1]]

        with ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(share, zip(self.emotions, shares, strict=True)))
        return [result for some in done for result in some]

    def close(self) -> None:
        for line in self._lines:
            line.close()


@pytest.fixture
def crowd(line_settings: Callable[..., Settings]) -> Any:
    made = Crowd(line_settings(emotion_half_life=HALF_LIFE))
    yield made
    made.close()


@pytest.fixture
def emotions(crowd: Crowd) -> Emotions:
    return crowd.emotions[0]


def stored(connection: Connection, tenant_id: str, session_id: str) -> tuple[Session, list[Entry]]:
    """A session as it is stored, and the whole of its history."""
    session = store.find(connection, tenant_id, session_id)
    assert session is not None
    return session, store.history(connection, tenant_id, session_id)


def by_hand(session: Session, entries: list[Entry]) -> Pad:
    """The feeling of a session when it was read, as a sum of what each event since the last reset
    has left of itself: no step of the sequential model is taken."""
    resets = [place for place, entry in enumerate(entries) if entry.event.kind == "reset"]
    felt = [session.baseline]
    for entry in entries[resets[-1] + 1 if resets else 0 :]:
        age, event = session.now - entry.event.at, entry.event
        left = math.exp(-math.log(2) * age / HALF_LIFE)
        if event.duration is not None:
            left = max(0.0, 1 - age / event.duration)
        felt.append(Pad(*(axis * left for axis in event.impulse)))
    return clamped(total(felt))


def assert_sequential(session: Session, entries: list[Entry]) -> None:
    """Fails if a session is not what its history comes to, step by step, or if that has a hole.
    Its baseline must have been the same from the first event on."""
    assert [entry.seq for entry in entries] == list(range(1, session.seq + 1))
    times = [entry.event.at for entry in entries]
    assert times == sorted(times)
    model = replace(session, deviation=REST, at=session.created, ripples=())
    for entry in entries:
        model = after(model, entry.event, HALF_LIFE)
        assert near(entry.deviation, model.deviation)
        assert near(entry.state, feeling(model, entry.event.at, HALF_LIFE))
    assert divergence(session, entries, HALF_LIFE) < 1e-9
    assert near(feeling(session, session.now, HALF_LIFE), by_hand(session, entries))


def test_a_hundred_turns_ripples_and_resets_at_once_are_one_sequence(
    crowd: Crowd, connection: Connection
) -> None:
    mine = tenant(connection)
    random = Random(7)

    def one(number: int) -> Callable[[Emotions], Any]:
        felt, job_id = random.choice(FELT), f"job_{number}"
        if number % 10 == 9:
            return lambda it: it.reset(mine, "s")
        if number % 10 in (3, 6):
            strength = random.random() / 2 + 0.1
            return lambda it: it.ripple(mine, "s", felt, strength, 3600, "", job_id)
        return lambda it: it.turn(mine, "s", felt, job_id, None)

    crowd.emotions[0].turn(mine, "s", "joy", "job_first", None)
    crowd.all([one(number) for number in range(100)])
    session, entries = stored(connection, mine, "s")
    kinds = [entry.event.kind for entry in entries]
    assert (kinds.count("turn"), kinds.count("ripple"), kinds.count("reset")) == (71, 20, 10)
    assert session.turns == 71
    assert {entry.event.job_id for entry in entries} >= {"job_0", "job_3", "job_98"}
    assert_sequential(session, entries)


def test_what_was_written_is_read_as_it_was(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "s", "joy", "job_1", {"playful": 0.7})
    emotions.ripple(mine, "s", "fear", 0.25, 100, "A noise", "job_2")
    session, [first, second] = stored(connection, mine, "s")
    assert (session.asked, session.turns, session.seq) == ({"playful": 0.7}, 1, 2)
    assert session.traits == {**SHIPPED, "playful": 0.7}
    assert [ripple.vector for ripple in session.ripples] == [second.event.impulse]
    assert (first.event.emotion, first.event.trigger) == ("joy", "user_statement")
    assert (second.event.emotion, second.event.trigger) == ("fear", "A noise")
    assert (second.event.intensity, second.event.duration) == (0.25, 100)
    assert second.event.job_id == "job_2"
    assert_sequential(session, [first, second])


def test_twenty_ripples_at_once_over_ten_sessions_reach_all_of_them(
    crowd: Crowd, connection: Connection
) -> None:
    mine = tenant(connection)
    names = [f"s{number}" for number in range(10)]
    for name in names:
        crowd.emotions[0].turn(mine, name, "joy", f"job_{name}", None)

    def one(number: int) -> Callable[[Emotions], Any]:
        name = names[number % 10]
        return lambda it: it.ripple(mine, name, "hope", 0.2, 3600, "", f"job_{number}")

    done = crowd.all([one(number) for number in range(20)])
    assert [one.reached for one in done] == [9] * 20
    for name in names:
        session, entries = stored(connection, mine, name)
        kinds = [entry.event.kind for entry in entries]
        assert (kinds.count("ripple"), kinds.count("contagion")) == (2, 18)
        assert len(session.ripples) == 20
        assert_sequential(session, entries)


def test_sessions_that_begin_at_once_begin_once(crowd: Crowd, connection: Connection) -> None:
    mine = tenant(connection)

    def one(number: int, name: str) -> Callable[[Emotions], Any]:
        return lambda it: it.turn(mine, name, "joy", f"job_{name}_{number}", None)

    for name in "abcdefghij":
        crowd.all([one(number, name) for number in range(20)])
        session, entries = stored(connection, mine, name)
        assert session.turns == 20
        assert_sequential(session, entries)


def test_attempts_of_one_job_at_once_add_one_line(crowd: Crowd, connection: Connection) -> None:
    mine = tenant(connection)
    crowd.all([lambda it: it.turn(mine, "s", "joy", "job_1", None)] * THREADS)
    session, entries = stored(connection, mine, "s")
    assert (session.seq, session.turns, len(entries)) == (1, 1, 1)


def test_only_those_active_lately_are_active(emotions: Emotions, connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    for name in ("old", "new"):
        emotions.turn(mine, name, "joy", f"job_{name}", None)
    emotions.turn(other, "theirs", "joy", "job_t", None)
    connection.execute(
        "UPDATE emotion_session SET active_at = now() - interval '16 minutes' "
        "WHERE session_id = 'old'"
    )
    assert [one.session_id for one in store.active(connection, mine)] == ["new"]
    assert store.active_ids(connection, mine, 9) == ["new"]
    assert {one.session_id for one in store.active(connection, None)} == {"new", "theirs"}


def test_a_contagion_does_not_keep_a_session_active(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "near", "joy", "job_1", None)
    since = connection.execute("SELECT active_at FROM emotion_session").fetchone()
    emotions.ripple(mine, "s", "joy", 1, 60, "", "job_2")
    emotions.reset(mine, "near")
    _, entries = stored(connection, mine, "near")
    assert [entry.event.kind for entry in entries] == ["turn", "contagion", "reset"]
    now = connection.execute(
        "SELECT active_at FROM emotion_session WHERE session_id = 'near'"
    ).fetchone()
    assert now == since


def test_the_oldest_lines_are_dropped_once_there_are_many(
    emotions: Emotions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    monkeypatch.setattr(store, "HISTORY_MAX", 4)
    monkeypatch.setattr(store, "PRUNE_EVERY", 5)
    for number in range(9):
        emotions.turn(mine, "s", "joy", f"job_{number}", None)
    connection.execute("UPDATE emotion_history SET at = at - interval '2 hours' WHERE seq < 6")
    emotions.turn(mine, "s", "joy", "job_9", None)
    session, entries = stored(connection, mine, "s")
    assert [entry.seq for entry in entries] == [6, 7, 8, 9, 10]
    assert divergence(session, entries, HALF_LIFE) < 1e-9


def test_an_ended_ripple_is_not_read_and_goes_with_the_next(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.ripple(mine, "s", "joy", 1, 60, "", "job_1")
    connection.execute("UPDATE emotion_ripple SET start_at = now() - interval '61 seconds'")
    session, _ = stored(connection, mine, "s")
    assert session.ripples == ()
    emotions.ripple(mine, "s", "joy", 1, 60, "", "job_2")
    left = connection.execute("SELECT seq FROM emotion_ripple").fetchall()
    assert left == [(2,)]


def test_a_ripple_is_the_less_the_later_it_is_read(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.ripple(mine, "s", "joy", 1, 100, "", "job_1")
    connection.execute("UPDATE emotion_ripple SET start_at = start_at - interval '50 seconds'")
    session, _ = stored(connection, mine, "s")
    [ripple] = session.ripples
    left = contribution(ripple, session.now)
    assert 0 < left.valence < 0.5 * ripple.vector.valence
    assert left.valence > 0.4 * ripple.vector.valence


def test_pages_go_by_name_within_a_tenant(emotions: Emotions, connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    for name in ("b", "a", "c"):
        emotions.turn(mine, name, "joy", f"job_{name}", None)
    emotions.turn(other, "aa", "joy", "job_aa", None)
    assert [one.session_id for one in store.page(connection, mine, None, 2)] == ["a", "b"]
    assert [one.session_id for one in store.page(connection, mine, "b", 2)] == ["c"]


def test_a_trend_has_a_series_for_each_session(emotions: Emotions, connection: Connection) -> None:
    mine, other = tenant(connection), tenant(connection)
    for number, name in enumerate(("a", "b", "a")):
        emotions.turn(mine, name, "joy", f"job_{number}", None)
    emotions.turn(other, "a", "anger", "job_o", None)
    series = store.trend(connection, mine, 60)
    assert sorted(len(one) for one in series) == [1, 2]
    [longer] = [one for one in series if len(one) == 2]
    assert longer[0][0] < longer[1][0]
    assert longer[0][1] < longer[1][1]
    assert len(store.trend(connection, None, 60)) == 3
    assert store.trend(connection, mine, 0) == []


def test_a_forgotten_session_is_gone_with_all_of_it(
    emotions: Emotions, connection: Connection
) -> None:
    mine, other = tenant(connection), tenant(connection)
    for owner in (mine, other):
        emotions.ripple(owner, "s", "joy", 1, 60, "secret", "job_1")
    assert store.forget(connection, mine, "s")
    assert not store.forget(connection, mine, "s")
    assert store.find(connection, mine, "s") is None
    for table in ("emotion_history", "emotion_ripple", "emotion_session"):
        rows = connection.execute(f"SELECT tenant_id FROM {table}").fetchall()
        assert rows == [(other,)]


def test_a_session_forgotten_while_its_ripple_comes_is_not_made_again(
    emotions: Emotions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tenant(connection)
    lock = store.lock

    def forgotten_first(it: Connection, tenant_id: str, ids: Any) -> list[Session]:
        store.forget(connection, tenant_id, "s")
        return lock(it, tenant_id, ids)

    monkeypatch.setattr(store, "lock", forgotten_first)
    with pytest.raises(NotFound, match="no session 's' any more"):
        emotions.ripple(mine, "s", "joy", 1, 60, "", "job_1")
    assert store.find(connection, mine, "s") is None


def test_the_clock_of_a_session_never_goes_back(emotions: Emotions, connection: Connection) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "s", "joy", "job_1", None)
    connection.execute("UPDATE emotion_session SET at = now() + interval '1 hour'")
    ahead, _ = stored(connection, mine, "s")
    emotions.turn(mine, "s", "joy", "job_2", None)
    session, entries = stored(connection, mine, "s")
    assert entries[-1].event.at == ahead.at == session.at
    assert near(session.deviation, total((entries[0].event.impulse, entries[1].event.impulse)))
    assert replace(session, deviation=REST).now >= session.at


def test_a_ripple_whose_session_was_forgotten_between_its_attempts_comes_to_others_once(
    emotions: Emotions, connection: Connection
) -> None:
    mine = tenant(connection)
    emotions.turn(mine, "near", "joy", "job_1", None)
    emotions.ripple(mine, "s", "joy", 1, 60, "", "job_2")
    store.forget(connection, mine, "s")
    emotions.ripple(mine, "s", "joy", 1, 60, "", "job_2")
    _, entries = stored(connection, mine, "near")
    assert [entry.event.kind for entry in entries] == ["turn", "contagion"]
