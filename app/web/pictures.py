"""`GET /v1/images/{picture}`: generated images at addresses that need no key.

OpenAI's addresses live for an hour and open to whoever has them; so do these. The last part names
tenant, job and image and is sealed with the vault's key, so that none can be guessed or made up.
The image itself is read from the job's result: where that is deleted, so is the image.
"""

import base64
import time
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request

from app.dialects.images import with_image_usage
from app.errors import NotFound
from app.jobs.model import JobRow
from app.settings import Settings
from app.vault import Vault, VaultError
from app.web.front import Front

LIVES_S = 3600
MARK = "picture"
"""Tells these from what else the vault's key seals."""

KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
"""How files of images begin (WHATWG, MIME Sniffing, section 6.1); WebP's mark is further in."""

_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def picture_url(settings: Settings, tenant_id: str, job_id: str, number: int) -> str:
    """The address of a job's image, from now on for an hour. Raises VaultError."""
    named = [MARK, tenant_id, job_id, number, int(time.time()) + LIVES_S]
    sealed = Vault(settings).seal(orjson.dumps(named))
    base = settings.public_url.rstrip("/") or request.host_url.rstrip("/")
    return f"{base}/v1/images/{sealed}"


def image_result(stored: dict[str, Any], job: JobRow) -> dict[str, Any]:
    """A job's images as the door shows them."""
    return images_shown(stored, job.request or "{}", job.tenant_id, job.id)


def images_shown(stored: dict[str, Any], asked: str, tenant_id: str, job_id: str) -> dict[str, Any]:
    """Images as they were asked for: with addresses, as base64, or with both if the client did not
    say. Where a provider gives addresses of its own, these are told."""
    form = orjson.loads(asked).get("asked", {}).get("response_format")
    front: Front = current_app.extensions["moonpool"]
    data = []
    for number, image in enumerate(stored.get("data", ())):
        told = dict(image)
        if "url" not in told and form != "b64_json":
            told["url"] = picture_url(front.settings, tenant_id, job_id, number)
        if form == "url":
            told.pop("b64_json", None)
        data.append(told)
    return with_image_usage({**stored, "data": data})


def picture_routes(front: Front) -> Blueprint:
    """The blueprint of images by their address, open to all who have one."""
    routes = Blueprint("pictures", __name__)
    vault = Vault(front.settings)

    @routes.get("/v1/images/<picture>")
    def get_picture(picture: str) -> Response:
        tenant_id, job_id, number = _opened(vault, picture)
        content = _stored(front, tenant_id, job_id, number)
        kind = kind_of(content)
        answer = Response(content, mimetype=f"image/{kind}" if kind else "application/octet-stream")
        for name, value in _HEADERS.items():
            answer.headers[name] = value
        place = "inline" if kind else "attachment"
        answer.headers["Content-Disposition"] = f'{place}; filename="{job_id}-{number}.{kind}"'
        return answer

    return routes


def kind_of(content: bytes) -> str:
    """What kind of image a file is, by its first bytes; empty for what browsers might run."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for mark, kind in KINDS.items() if content.startswith(mark)), "")


def _opened(vault: Vault, picture: str) -> tuple[str, str, int]:
    try:
        mark, tenant_id, job_id, number, until = orjson.loads(vault.open(picture))
    except (VaultError, ValueError, TypeError):
        raise _gone() from None
    if mark != MARK or until < time.time():
        raise _gone()
    return tenant_id, job_id, number


def _stored(front: Front, tenant_id: str, job_id: str, number: int) -> bytes:
    job = front.jobs.find(job_id, tenant_id)
    told: dict[str, Any] = orjson.loads(job.body) if job.body else {}
    images = told.get("data") or []
    if number >= len(images) or "b64_json" not in images[number]:
        raise _gone()
    return base64.b64decode(images[number]["b64_json"])


def _gone() -> NotFound:
    return NotFound("There is no such image, or its hour is over.", param="picture")
