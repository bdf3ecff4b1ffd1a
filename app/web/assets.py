"""`/static`: the style and program of our pages, under a digest of them all, so that a browser may
keep them for ever and never mixes two versions."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from app.errors import NotFound

FOLDER = Path(__file__).parent / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@cache
def assets() -> dict[str, bytes]:
    """The files that are served, by name."""
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in KINDS)
    return {path.name: path.read_bytes() for path in found}


@cache
def digest() -> str:
    """What all of them together are known by."""
    told = hashlib.sha256()
    for name, content in assets().items():
        told.update(f"{name} {len(content)} ".encode() + content)
    return told.hexdigest()[:16]


def asset_url(name: str) -> str:
    """Where a file is served. Raises KeyError for one that is not there."""
    if name not in assets():
        raise KeyError(name)
    return f"/static/{digest()}/{name}"


def asset_routes() -> Blueprint:
    """The blueprint of static files."""
    routes = Blueprint("assets", __name__)

    @routes.get("/static/<digest_of>/<asset>")
    def get_asset(digest_of: str, asset: str) -> Response:
        content = assets().get(asset)
        if content is None:
            raise NotFound("There is no such file.")
        answer = Response(content, mimetype=KINDS[Path(asset).suffix])
        # A page of another version than this process's gets what there is, and asks again.
        answer.headers["Cache-Control"] = FOR_EVER if digest_of == digest() else "no-cache"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    return routes
