"""Profiles in Postgres: which is active, what feedback adds, and what a process knows of it."""

import orjson
import pytest

from app.db.connect import Connection
from app.db.reads import Reads
from app.embedding.minilm import Embedder
from app.errors import Conflict, NotFound
from app.ids import new_id
from app.jobs.store import admit_group, settle_group
from app.uniroute import shelf, store
from app.uniroute.learn import learn
from app.uniroute.model import Seen
from app.uniroute.profile import Profile, default_profile, parse_profile, profile_text, with_prices
from app.uniroute.shelf import Names, Profiles, Routers, shipped
from tests.app.conftest import books, connection, line_database
from tests.app.line import claim_one, draft, outcome, tenant

__all__ = ["books", "connection", "line_database"]

OWN = shipped()[0]


def cheaper() -> Profile:
    profile = default_profile()
    return with_prices(profile, profile.usd / 2, "half")


def pushed(connection: Connection, profile: Profile) -> str:
    text = profile_text(profile).decode()
    assert store.keep_profile(connection, profile.version, text, profile.models, "test")
    return profile.version


def rated(
    connection: Connection, tenant_id: str, rating: float, profile: str = OWN, model: str = "gpt-4o"
) -> str:
    """An answer that was routed, and feedback on it; the feedback's id."""
    wanted = draft(tenant_id)
    wanted.model = "auto"
    assert admit_group(connection, [wanted]) == ["admitted"]
    job = claim_one(connection)
    done = outcome(job)
    routing = {"profile": profile, "answered_model": model, "clusters": {"3": 0.8, "4": 0.2}}
    done.body = orjson.dumps({"choices": [], "routing": routing}).decode()
    assert settle_group(connection, "wrk_a", [done]) == [True]
    feedback_id = new_id("fbk")
    connection.execute(
        "INSERT INTO feedback (id, tenant_id, job_id, key_id, kind, model, rating) "
        "VALUES (%s, %s, %s, 'key_x', 'chat.completion', 'auto', %s)",
        (feedback_id, tenant_id, job.id, rating),
    )
    return job.id


def test_the_last_activation_holds_until_it_is_rolled_back(connection: Connection) -> None:
    assert store.active_version(connection) is None
    version = pushed(connection, cheaper())
    assert store.active_version(connection) is None
    store.activate(connection, version, "test")
    store.activate(connection, None, "test")
    assert store.active_version(connection) is None
    assert store.roll_back(connection, "test") == version
    assert [one.active for one in store.versions(connection)] == [True]
    assert store.roll_back(connection, "test") is None
    with pytest.raises(Conflict):
        store.roll_back(connection, "test")
    with pytest.raises(NotFound):
        store.activate(connection, "nothing", "test")


def test_a_profile_that_is_pushed_twice_is_kept_once(connection: Connection) -> None:
    version = pushed(connection, cheaper())
    text = store.body_of(connection, version)
    assert not store.keep_profile(connection, version, text, ["x"], "test")
    assert store.models_of(connection, version) == default_profile().models
    assert parse_profile(text.encode(), "here").version == version


def test_a_process_follows_an_activation(
    connection: Connection, books: str, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "REFRESH_S", 0.0)
    reads = Reads(books, "test")
    routers, names = Routers(reads, embedder), Names(reads)
    first = routers.now()
    assert first.profile.version == OWN
    assert first is routers.now(), "its vectors and what it keeps are made once"
    assert names.now() == default_profile().models
    version = pushed(connection, cheaper())
    store.activate(connection, version, "test")
    assert routers.now().profile.version == version
    assert names.now() == default_profile().models
    store.roll_back(connection, "test")
    assert routers.now().profile.version == OWN
    reads.close()


def test_a_profile_that_was_changed_in_the_database_is_not_used(
    connection: Connection, books: str, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "REFRESH_S", 0.0)
    version = pushed(connection, cheaper())
    connection.execute("UPDATE router_profile SET body = replace(body, '\"half\"', '\"third\"')")
    store.activate(connection, version, "test")
    reads = Reads(books, "test")
    assert Routers(reads, embedder).now().profile.version == OWN
    reads.close()


def test_without_its_database_a_process_decides_by_what_comes_along(embedder: Embedder) -> None:
    away = Reads("postgresql://nobody@127.0.0.1:1/nothing", "test")
    assert Routers(away, embedder).now().profile.version == OWN
    assert Names(away).now() == shipped()[1]


def test_what_is_shipped_is_named_as_its_file_says() -> None:
    assert shipped() == (default_profile().version, default_profile().models)


def test_feedback_becomes_a_version_that_stands_on_the_active_one(connection: Connection) -> None:
    tenant_id = tenant(connection)
    assert learn(connection, activate=False) is None
    rated(connection, tenant_id, -1.0)
    done = learn(connection, activate=False)
    assert done is not None
    assert (done.lessons, done.new, done.active) == (1, True, False)
    [kept] = store.versions(connection)
    assert (kept.version, kept.origin, kept.parent) == (done.version, "feedback", OWN)
    heard = parse_profile(store.body_of(connection, done.version).encode(), "here")
    at = heard.models.index("gpt-4o")
    assert heard.error_vectors[3, at] > default_profile().error_vectors[3, at]
    again = learn(connection, activate=False)
    assert again is not None
    assert (again.version, again.new) == (done.version, False), "nothing counts twice"


def test_feedback_on_what_a_version_of_feedback_chose_counts_too(connection: Connection) -> None:
    tenant_id = tenant(connection)
    rated(connection, tenant_id, 1.0)
    first = learn(connection, activate=True)
    assert first is not None
    assert store.active_version(connection) == first.version
    rated(connection, tenant_id, -1.0, profile=first.version)
    second = learn(connection, activate=True)
    assert second is not None
    assert second.lessons == 2
    assert {one.parent for one in store.versions(connection)} == {OWN}
    assert store.roll_back(connection, "test") == first.version


def test_feedback_that_no_longer_stands_no_longer_counts(connection: Connection) -> None:
    tenant_id = tenant(connection)
    job_id = rated(connection, tenant_id, 1.0)
    rated(connection, tenant_id, 1.0, profile="another")
    connection.execute("UPDATE feedback SET replaced_by = 'fbk_x' WHERE job_id = %s", (job_id,))
    assert learn(connection, activate=False) is None
    connection.execute("UPDATE feedback SET replaced_by = NULL WHERE job_id = %s", (job_id,))
    assert learn(connection, activate=False) is not None
    connection.execute("SELECT forget(%s, NULL)", ([job_id],))
    assert learn(connection, activate=False) is None


def test_versions_of_feedback_that_were_never_active_make_room(connection: Connection) -> None:
    tenant_id = tenant(connection)
    rated(connection, tenant_id, 1.0)
    learn(connection, activate=False)
    rated(connection, tenant_id, 0.5)
    done = learn(connection, activate=False)
    assert done is not None
    assert [one.version for one in store.versions(connection)] == [done.version]


def test_what_shadow_mode_saw_adds_up(connection: Connection) -> None:
    seen = {("gpt-4o", "gpt-4o-mini"): Seen(2, 0.4, 0.5, 2.0, 0.1)}
    store.count_seen(connection, seen)
    store.count_seen(connection, seen)
    [(_, asked, chosen, total)] = store.seen_since(connection, 7)
    assert (asked, chosen) == ("gpt-4o", "gpt-4o-mini")
    assert total == Seen(4, 0.8, 1.0, 4.0, 0.2)


def test_a_process_keeps_the_profiles_that_it_was_asked_for_last(
    books: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "PROFILES_KEPT", 2)
    half = pushed(connection, cheaper())
    reads = Reads(books, "test")
    profiles = Profiles(reads)
    first = profiles.find(half)
    assert (first.version, profiles.find(OWN).version) == (half, OWN)
    connection.execute("DELETE FROM router_profile")
    assert profiles.find(half) is first
    monkeypatch.setattr(shelf, "PROFILES_KEPT", 1)
    profiles.find(OWN)
    with pytest.raises(NotFound) as error:
        profiles.find(half)
    assert error.value.param == "version"
    reads.close()
