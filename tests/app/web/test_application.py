"""The application's short way to its routes leads where the long one does."""

import pytest
from flask import Response, request
from flask.testing import FlaskClient

from app.web.application import Application


@pytest.fixture
def client() -> FlaskClient:
    app = Application("tests", static_folder=None)
    app.url_map.strict_slashes = False

    @app.get("/moons")
    def moons() -> str:
        return f"{request.endpoint} {request.host}"

    @app.post("/moons")
    def new_moon() -> Response:
        return Response(request.get_data(), 201)

    @app.get("/moons/<name>")
    def moon(name: str) -> str:
        return name

    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/moons", 200, "moons localhost"),
        ("GET", "/moons/", 200, "moons localhost"),
        ("POST", "/moons", 201, "new"),
        ("GET", "/moons/io", 200, "io"),
        ("HEAD", "/moons", 200, ""),
        ("GET", "/Moons", 404, None),
        ("GET", "/moons/io/", 200, "io"),
        ("DELETE", "/moons", 405, None),
    ],
)
def test_every_path_is_found_as_flask_finds_it(
    client: FlaskClient, method: str, path: str, status: int, text: str | None
) -> None:
    answer = client.open(path, method=method, data=b"new" if method == "POST" else None)
    assert answer.status_code == status
    assert text is None or answer.text == text


def test_options_and_refusals_name_the_methods(client: FlaskClient) -> None:
    assert set(client.options("/moons").allow) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert set(client.delete("/moons").allow) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_nobody_is_given_a_cookie(client: FlaskClient) -> None:
    assert "Set-Cookie" not in client.get("/moons").headers
