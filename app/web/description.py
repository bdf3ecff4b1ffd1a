"""`/openapi.json` and `/docs`: what the API is, for programs and for people."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from functools import cache

import orjson
from flask import Blueprint, Flask, Response, current_app, render_template, request

CACHE = "public, max-age=300"
POLICY = (
    "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def description_routes() -> Blueprint:
    """The blueprint of the description, which is made once in each process."""
    routes = Blueprint("description", __name__, template_folder="templates")
    app: Callable[[], Flask] = current_app._get_current_object  # type: ignore[attr-defined]

    @cache
    def made() -> tuple[bytes, str]:
        # Only who asks for it pays for its schemas.
        from app.web.openapi.document import document
        from app.web.openapi.page import chapters, in_words

        told = document(app())
        page = render_template("docs.html", told=told, chapters=chapters(told), in_words=in_words)
        return orjson.dumps(told), page

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return _kept(Response(made()[0], mimetype="application/json"))

    @routes.get("/docs")
    def docs() -> Response:
        page = made()[1]
        style = page.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        answer = Response(page, mimetype="text/html")
        answer.headers["Content-Security-Policy"] = POLICY.format(digest)
        return _kept(answer)

    return routes


def _kept(answer: Response) -> Response:
    answer.headers["Cache-Control"] = CACHE
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.add_etag()
    answer.make_conditional(request)
    return answer
