"""Feedback, days, rollbacks and new terms in any order, from several callers at once: the invariant
holds after every step, and a day's feedback moves a trait no further than the day's bound."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.db.connect import Connection, line_connection
from app.errors import MoonpoolError
from app.evolution import service, store
from app.evolution.model import Direction, NewFeedback, Rollback, Terms
from app.evolution.service import current_traits
from tests.app.evolution.parts import (
    SHIPPED,
    answer,
    drifts,
    next_day,
    rate,
    roll_back,
    terms,
)
from tests.app.line import tenant

WAYS: st.SearchStrategy[Direction] = st.sampled_from(["more", "less"])
FEEDBACK = st.builds(
    NewFeedback,
    st.sampled_from([-1.0, -0.3, 0.0, 0.5, 1.0]),
    st.sampled_from([None, "too protective", "so curious", "cold"]),
    st.none(),
    st.dictionaries(st.sampled_from([*SHIPPED]), WAYS, max_size=2),
)
TERMS = st.builds(
    terms,
    st.sampled_from([0, 12_345, 30_000, 200_000, 1_000_000]),
    st.sampled_from([0, 3_333, 15_000, 50_000]),
    **{name: st.sampled_from([0, 5_000, value, 1_000_000]) for name, value in SHIPPED.items()},
)
PICK = st.integers(0, 30)


class Evolution(RuleBasedStateMachine):
    """One tenant, its answers, and the operator. `start`: the drifts that the day began with, while
    nobody but feedback has moved them since."""

    connection: Connection
    books: str

    def __init__(self) -> None:
        super().__init__()
        self.mine = tenant(self.connection)
        self.other = tenant(self.connection)
        self.jobs = [answer(self.connection, self.mine) for _ in range(4)]
        self.terms = terms()
        self.start: dict[str, int] | None = {}

    @initialize(given=st.lists(FEEDBACK, max_size=4))
    def begin(self, given: list[NewFeedback]) -> None:
        for number, new in enumerate(given):
            self.feedback(number, new)

    @rule(of=PICK, new=FEEDBACK)
    def feedback(self, of: int, new: NewFeedback) -> None:
        rate(self.connection, self.mine, new, of=self.jobs[of % 4], under=self.terms)

    @rule(given=st.lists(FEEDBACK, min_size=2, max_size=4))
    def feedback_at_once(self, given: list[NewFeedback]) -> None:
        """On answers of their own, and two of them on the same one."""
        asked = {"personality_traits": {"curious": 0.1}}
        jobs = [answer(self.connection, self.mine, asked=asked) for _ in given[1:]]

        def work(number: int) -> None:
            with line_connection(self.books, f"thread {number}") as own:
                rate(own, self.mine, given[number], of=jobs[max(0, number - 1)], under=self.terms)

        with ThreadPoolExecutor(len(given)) as pool:
            for done in [pool.submit(work, number) for number in range(len(given))]:
                done.result()

    @rule()
    def a_day_passes(self) -> None:
        next_day(self.connection, self.mine)
        self.start = drifts(self.connection, self.mine, self.terms)

    @rule(asked=TERMS)
    def the_operator_changes_the_terms(self, asked: Terms) -> None:
        self.terms, self.start = asked, None

    @rule(pick=PICK)
    def roll_back_to_a_generation(self, pick: int) -> None:
        reached, _ = store.generation(self.connection, self.mine)
        wanted = pick % (reached + 1)
        roll_back(self.connection, self.mine, Rollback(to_generation=wanted), self.terms)
        now, _ = store.generation(self.connection, self.mine)
        assert now <= wanted
        assert wanted or drifts(self.connection, self.mine, self.terms) == {}
        self.start = None

    @precondition(lambda self: store.generation(self.connection, self.mine)[1] > 0)
    @rule(pick=PICK)
    def roll_back_one(self, pick: int) -> None:
        changes = store.list_changes(self.connection, self.mine, 100)
        change = changes[pick % len(changes)]
        try:
            what = Rollback(change_id=change.id)
            roll_back(self.connection, self.mine, what, self.terms)
        except MoonpoolError:
            assert change.kind != "feedback" or not change.kept
        else:
            found = store.find_change(self.connection, self.mine, change.id)
            assert found is not None
            assert found.kept == 0
            self.start = None

    @invariant()
    def the_invariant_holds(self) -> None:
        assert store.violations(self.connection, self.mine) == []
        now = service.status(self.connection, self.terms, self.mine, 1)
        assert now.holds
        assert now.generation == len(store.standing(self.connection, self.mine))

    @invariant()
    def what_is_read_is_within_the_terms_of_now(self) -> None:
        shares = {name: whole / 1_000_000 for name, whole in self.terms.baseline.items()}
        bounds = self.terms.bounds
        read = current_traits(self.connection, self.mine, shares, bounds)
        for name, value in read.items():
            assert 0 <= value <= 1
            assert abs(round((value - shares[name]) * 1_000_000)) <= bounds.total

    @invariant()
    def a_days_feedback_stays_within_the_days_bound(self) -> None:
        now = drifts(self.connection, self.mine, self.terms)
        if self.start is not None:
            for name in SHIPPED:
                moved = now.get(name, 0) - self.start.get(name, 0)
                assert abs(moved) <= self.terms.bounds.daily

    @invariant()
    def nobody_else_is_moved(self) -> None:
        assert drifts(self.connection, self.other, self.terms) == {}


def test_the_invariant_holds_whatever_happens(connection: Connection, books: str) -> None:
    Evolution.connection, Evolution.books = connection, books
    run_state_machine_as_test(
        Evolution,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip
