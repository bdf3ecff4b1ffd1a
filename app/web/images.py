"""`POST /v1/images/generations`: images from a text."""

import orjson
from flask import Blueprint, Response

from app.errors import InvalidRequest
from app.jobs.model import Draft
from app.web.asked import Asked
from app.web.body import read_request
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.pictures import images_shown
from app.web.planning import PLANNED, plan
from app.web.schemas.images import ImageRequest


def image_routes(front: Front) -> Blueprint:
    """The blueprint of the door for images."""
    routes = Blueprint("images", __name__)

    @routes.post("/v1/images/generations")
    @routes.post("/images/generations")
    def create_image() -> Response:
        wanted, body = read_request(front, ImageRequest)
        # No stream is ever asked for, so there is no form of one.
        shape = Shape(form=lambda draft: Chunks(draft, False), whole=_whole)
        return respond(front, image_asked(wanted, body), shape)

    return routes


def image_asked(wanted: ImageRequest, body: bytes) -> Asked:
    """What an image generation asks of the line. Raises InvalidRequest."""
    for name in ("stream", "partial_images"):
        if getattr(wanted, name):
            raise InvalidRequest(f"{name} is not supported: images come whole.", param=name)
    told = wanted.told()
    background = told.pop("background", None)
    if isinstance(background, str):
        told["background"] = background
    # What is kept is the image itself; addresses are made of it whenever they are shown.
    form = told.pop("response_format", None)
    told |= {"response_format": "b64_json", "asked": {"response_format": form}}
    for name in ("stream", "partial_images", "metadata"):
        told.pop(name, None)
    return Asked(
        kind="image",
        path="/images/generations",
        body=body,
        request=orjson.dumps(told).decode(),
        operation="image",
        model=wanted.model,
        provider=told.get("provider"),
        fallbacks=told.get("fallbacks", ()),
        choices=wanted.n or 1,
        images=wanted.n or 1,
        background=background is True,
        cancel_on_disconnect=told.get("cancel_on_disconnect") is not False,
        session=told.get("session_id") or None,
        store=told.get("store") is not False,
        metadata=wanted.metadata,
        plan=plan(*(told.get(name) for name in PLANNED)),
    )


def _whole(body: bytes, draft: Draft) -> Response:
    told = images_shown(orjson.loads(body), draft.request, draft.tenant_id, draft.id)
    return json_answer(orjson.dumps(told), draft)
