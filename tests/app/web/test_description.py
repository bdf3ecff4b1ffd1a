import re
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.main import create_app
from app.settings import Settings
from app.web.description import description_routes


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    app = create_app(
        Settings(
            database_url="postgresql://nobody@127.0.0.1:1/nothing",
            redis_url="redis://127.0.0.1:1/0",
            ollama_url="",
        )
    )
    return app.test_client()


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_what_is_known_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    assert first.status_code == 200
    tag = first.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)


def test_it_is_made_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(_: Flask) -> dict[str, object]:
        made.append(1)
        return {"info": {}, "tags": [], "paths": {}, "components": {"schemas": {}}}

    monkeypatch.setattr("app.web.openapi.document.document", counted)
    app = Flask("other")
    app.register_blueprint(description_routes())
    for _ in range(3):
        assert app.test_client().get("/openapi.json").status_code == 200
        assert app.test_client().get("/docs").status_code == 200
    assert made == [1]


class Links(HTMLParser):
    """What a page refers to, and the places in it."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src", "action", "style"):
                self.targets.add(f"{name} {value}")
            if name == "id":
                self.places.append(str(value))


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(client: FlaskClient) -> None:
    answer = client.get("/docs")
    page = Links()
    page.feed(answer.text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "base"})
    inner = {target.removeprefix("href #") for target in page.targets if "#" in target}
    assert page.targets == {f"href #{place}" for place in inner} | {"href openapi.json"}
    assert inner <= set(page.places)
    assert len(set(page.places)) == len(page.places)
    assert not re.search(r"url\(|@import", answer.text)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_every_operation_and_shape_is_on_the_page(client: FlaskClient) -> None:
    told = client.get("/openapi.json").get_json()
    page = Links()
    page.feed(client.get("/docs").text)
    ids = {o["operationId"] for methods in told["paths"].values() for o in methods.values()}
    shown = {one for one in ids if not one.endswith("_without_v1")}
    assert shown | set(told["components"]["schemas"]) <= set(page.places)
