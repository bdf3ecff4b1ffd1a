"""`POST /v1/audio/transcriptions`: text from a recording, which comes as a form with a file."""

import base64
import hashlib
from functools import partial
from typing import Any

import gevent
import orjson
from flask import Blueprint, Response
from pydantic import ValidationError

from app.dialects.audio import seconds_at_most, seconds_likely
from app.dialects.transcriptions import PLAIN, transcription_shown
from app.errors import InvalidRequest
from app.jobs.model import Draft
from app.web.asked import Asked
from app.web.forms import File, read_form
from app.web.front import Front
from app.web.inference import Shape, json_answer, respond
from app.web.openai_stream import Chunks
from app.web.planning import plan
from app.web.problems import invalid
from app.web.schemas.transcriptions import LISTS, TranscriptionForm

PIECE_BYTES = 3 * 2**16
"""Divisible by three, so that the pieces' base64 is that of the whole."""


def transcription_routes(front: Front) -> Blueprint:
    """The blueprint of the door for transcriptions."""
    routes = Blueprint("transcriptions", __name__)

    @routes.post("/v1/audio/transcriptions")
    @routes.post("/audio/transcriptions")
    def create_transcription() -> Response:
        fields, file = read_form("file", front.settings.audio_limit, LISTS)
        try:
            wanted = TranscriptionForm.model_validate(fields)
        except ValidationError as error:
            raise invalid(error) from None
        refuse(front, wanted, file)
        whole = partial(_whole, form=wanted.response_format or "json")
        # No stream is ever asked for, so there is no form of one.
        shape = Shape(form=lambda draft: Chunks(draft, False), whole=whole)
        return respond(front, _asked(wanted, file), shape)

    return routes


def refuse(front: Front, wanted: TranscriptionForm, file: File) -> None:
    """Raises InvalidRequest for what no provider could answer."""
    if wanted.stream:
        raise InvalidRequest(
            "stream is not supported: a transcription comes whole.", param="stream"
        )
    if wanted.timestamp_granularities and wanted.response_format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format verbose_json.",
            param="timestamp_granularities",
        )
    if not file.content:
        raise InvalidRequest("file is empty.", param="file")
    if wanted.model is None and "transcription" not in front.catalogue.defaults:
        raise InvalidRequest(
            "model is missing, and this server has no default model for transcription. Its "
            "operator sets one as defaults.transcription in the catalogue: a model with "
            "`does: transcription` of any server that speaks OpenAI's API, such as speaches or "
            "whisper.cpp.", param="model",
        )  # fmt: skip


def _asked(wanted: TranscriptionForm, file: File) -> Asked:
    told = wanted.model_dump(exclude_none=True, exclude={"stream", "background"})
    sent = {"name": file.name, "content_type": file.content_type}
    # In a thread: a large file takes a tenth of a second, in which others shall go on.
    digest, data = gevent.get_hub().threadpool.apply(encoded, (file.content,))
    # The same form is the same request whatever its boundary.
    known_by = orjson.dumps([wanted.model_dump(exclude_none=True), sent, digest])
    seconds = seconds_likely(file.content)
    told |= {
        "file": {**sent, "data": data},
        "asked": {"seconds": seconds},
    }
    return Asked(
        kind="transcription",
        path="/audio/transcriptions",
        body=known_by,
        request=orjson.dumps(told).decode(),
        operation="transcription",
        model=wanted.model,
        provider=wanted.provider,
        fallbacks=wanted.fallbacks or (),
        seconds=seconds_at_most(file.content),
        background=wanted.background or False,
        cancel_on_disconnect=wanted.cancel_on_disconnect is not False,
        session=wanted.session_id or None,
        store=wanted.store is not False,
        plan=plan(wanted.run_at, wanted.not_after, wanted.webhook_url),
    )


def encoded(content: bytes) -> tuple[str, str]:
    """The SHA-256 of a file, and the file as base64. It is encoded by the piece, so that other
    threads come to their turn."""
    pieces = [
        base64.b64encode(content[at : at + PIECE_BYTES])
        for at in range(0, len(content), PIECE_BYTES)
    ]
    return hashlib.sha256(content).hexdigest(), b"".join(pieces).decode()


def _whole(body: bytes, draft: Draft, form: str) -> Response:
    stored: dict[str, Any] = orjson.loads(body)
    if form in PLAIN:
        return Response(stored.get("text", ""), 200, mimetype="text/plain")
    return json_answer(orjson.dumps(transcription_shown(stored)), draft)
