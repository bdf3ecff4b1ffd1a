"""POSTs that make no job: once for an Idempotency-Key, however often they are sent."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict

from app.accounts.audit import record
from app.db.connect import Connection
from app.errors import Conflict, Unavailable
from app.settings import Settings
from app.web.auth import authenticate, caller
from app.web.body import IDEMPOTENCY_KEY_MAX
from app.web.front import Front
from app.web.posting import answered, changed, posted, read_json
from tests.app.web.access import Caller, Door, open_door, problem

Done = list[str]


class Body(BaseModel):
    """What the routes of these tests take."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str = "nothing"
    fail: bool = False


class Needy(BaseModel):
    text: str


@pytest.fixture
def done() -> Done:
    """The work that was begun."""
    return []


@pytest.fixture
def hooks() -> dict[str, Callable[[], None]]:
    """What runs within the work, by its text."""
    return {}


@pytest.fixture
def rooms(done: Done, hooks: dict[str, Callable[[], None]]) -> Callable[[Front], Blueprint]:
    def routes(front: Front) -> Blueprint:
        made = Blueprint("things", __name__, url_prefix="/v1/things")

        @made.post("")
        def create() -> Response:
            asked = read_json(front, Body)

            def work(connection: Connection) -> tuple[int, dict[str, Any]]:
                done.append(asked.text)
                record(connection, "me", "thing.create", asked.text, caller().tenant_id)
                hooks.get(asked.text, lambda: None)()
                if asked.fail:
                    raise Conflict("no")
                return 201, {"text": asked.text, "count": len(done)}

            return posted(front, work)

        @made.post("/<thing>/wait")
        def wait(thing: str) -> Response:
            def work() -> tuple[int, dict[str, Any]]:
                done.append(thing)
                hooks.get(thing, lambda: None)()
                return 202, {"thing": thing, "count": len(done)}

            return answered(front, work)

        @made.post("/needy")
        def needy() -> Response:
            asked = read_json(front, Needy)
            return posted(front, lambda _: (200, {"text": asked.text}))

        return made

    return routes


@pytest.fixture
def door(
    line_settings: Callable[..., Settings],
    gevent_sockets: None,
    monkeypatch: pytest.MonkeyPatch,
    rooms: Callable[[Front], Blueprint],
) -> Iterator[Door]:
    with open_door(line_settings(), monkeypatch, (rooms, authenticate)) as opened:
        yield opened


@pytest.fixture
def me(door: Door) -> Caller:
    return door.caller(door.tenant())


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/a/wait"])
def test_the_same_request_is_answered_again_and_not_done_again(
    me: Caller, done: Done, path: str
) -> None:
    first, again = (me.post(path, {"text": "a"}, "k") for _ in range(2))
    assert done == ["a"]
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.mimetype == "application/json"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/a/wait"])
def test_without_a_key_everything_is_done(me: Caller, door: Door, done: Done, path: str) -> None:
    answers = [me.post(path, {"text": "a"}) for _ in range(2)]
    assert [answer.get_json()["count"] for answer in answers] == [1, 2]
    assert door.count(b"idempotent_answer") == 0


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/a/wait"])
def test_another_body_is_refused(me: Caller, done: Done, path: str) -> None:
    me.post(path, {"text": "a"}, "k")
    for body in ({"text": "b"}, {"text": "A"}, {}):
        assert problem(me.post(path, body, "k")) == (
            422, "idempotency_key_reused", "Idempotency-Key",
        )  # fmt: skip
    assert done == ["a"]


def test_a_key_belongs_to_one_path_and_one_tenant(door: Door, me: Caller, done: Done) -> None:
    for path in ("/v1/things", "/v1/things/a/wait", "/v1/things/b/wait"):
        assert "Idempotent-Replayed" not in me.post(path, {"text": "a"}, "k").headers
    theirs = door.caller(door.tenant()).post("/v1/things", {"text": "a"}, "k")
    assert "Idempotent-Replayed" not in theirs.headers
    assert len(done) == 4
    assert "Idempotent-Replayed" in me.post("/v1/things/", {"text": "a"}, "k").headers


def test_another_key_of_the_tenant_is_told_that_it_is_done(door: Door, done: Done) -> None:
    tenant_id = door.tenant()
    door.caller(tenant_id).post("/v1/things", {"text": "a"}, "k")
    refused = door.caller(tenant_id).post("/v1/things", {"text": "a"}, "k")
    assert problem(refused) == (409, "conflict", "Idempotency-Key")
    assert "another credential" in refused.get_json()["error"]["message"]
    assert done == ["a"]


@pytest.mark.parametrize("key", ["", "k" * (IDEMPOTENCY_KEY_MAX + 1)])
@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/a/wait"])
def test_a_key_has_1_to_255_characters(me: Caller, done: Done, path: str, key: str) -> None:
    assert problem(me.post(path, {}, key)) == (400, None, "Idempotency-Key")
    assert done == []
    assert me.post(path, {}, "k" * IDEMPOTENCY_KEY_MAX).status_code < 300


def test_an_error_undoes_the_work_and_keeps_nothing(door: Door, me: Caller, done: Done) -> None:
    before = len(door.audit())
    for _ in range(2):
        assert me.post("/v1/things", {"text": "a", "fail": True}, "k").status_code == 409
    assert done == ["a", "a"]
    assert len(door.audit()) == before
    assert door.count(b"idempotent_answer") == 0
    assert me.post("/v1/things", {"text": "a"}, "k").status_code == 201
    assert len(door.audit()) == before + 1


def test_an_error_that_nobody_foresaw_keeps_nothing(
    door: Door, me: Caller, hooks: dict[str, Callable[[], None]]
) -> None:
    before = len(door.audit())
    hooks["a"] = [].pop
    assert me.post("/v1/things", {"text": "a"}, "k").status_code == 500
    assert (len(door.audit()), door.count(b"idempotent_answer")) == (before, 0)


def test_an_error_of_waiting_work_keeps_nothing(
    me: Caller, hooks: dict[str, Callable[[], None]], done: Done
) -> None:
    def away() -> None:
        raise Unavailable("away")

    hooks["a"] = away
    assert me.post("/v1/things/a/wait", None, "k").status_code == 503
    del hooks["a"]
    assert me.post("/v1/things/a/wait", None, "k").status_code == 202
    assert done == ["a", "a"]


def test_a_key_is_free_again_after_a_day(door: Door, me: Caller, done: Done) -> None:
    me.post("/v1/things", {"text": "a"}, "k")
    old = b"UPDATE idempotent_answer SET created_at = now() - interval '24 hours 1 second'"
    door.run(lambda c: c.execute(old))
    assert me.post("/v1/things", {"text": "b"}, "k").status_code == 201
    assert "Idempotent-Replayed" in me.post("/v1/things", {"text": "b"}, "k").headers
    assert done == ["a", "b"]


def test_of_two_at_once_one_is_done_and_the_other_told_to_wait(
    line_settings: Callable[..., Settings],
    gevent_sockets: None,
    monkeypatch: pytest.MonkeyPatch,
    rooms: Callable[[Front], Blueprint],
    door: Door,
    me: Caller,
    done: Done,
    hooks: dict[str, Callable[[], None]],
) -> None:
    """Two processes, each with connections of its own."""
    inside, refused = threading.Event(), threading.Event()
    statuses: list[int] = []

    def hold() -> None:
        inside.set()
        assert refused.wait(4)

    def first() -> None:
        with open_door(line_settings(), monkeypatch, (rooms, authenticate)) as other:
            caller = Caller(other.app, me.credential)
            statuses.append(caller.post("/v1/things", {"text": "a"}, "k").status_code)

    hooks["a"] = hold
    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert inside.wait(20)
        answer = me.post("/v1/things", {"text": "a"}, "k")
    finally:
        refused.set()
        thread.join(20)
    assert problem(answer) == (409, "idempotency_key_in_flight", "Idempotency-Key")
    assert answer.headers["Retry-After"] == "1"
    assert statuses == [201]
    assert me.post("/v1/things", {"text": "a"}, "k").headers["Idempotent-Replayed"] == "true"
    assert done == ["a"]


def test_no_body_counts_as_an_empty_one(me: Caller) -> None:
    assert me.post("/v1/things").get_json()["text"] == "nothing"
    assert problem(me.post("/v1/things/needy")) == (400, None, "text")


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), (b"\xff", None), (b"[]", None), ({"text": 1}, "text"), ({"odd": 1}, "odd")],
)
def test_a_wrong_body_is_refused_by_its_field(
    me: Caller, done: Done, body: object, param: str | None
) -> None:
    status, _, named = problem(me.post("/v1/things", body, "k"))
    assert (status, named) == (400, param)
    assert done == []


def test_a_refusal_costs_no_connection(door: Door, me: Caller) -> None:
    def refuse(_: Connection) -> None:
        raise Conflict("no")

    before = [id(connection) for connection in door.front.reads._free]
    with pytest.raises(Conflict):
        changed(door.front, refuse)
    assert before
    assert [id(connection) for connection in door.front.reads._free] == before
