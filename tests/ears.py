"""A local server that speaks OpenAI's transcriptions: it hears how large a file is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

SECONDS = 2.5
PATH = "/v1/audio/transcriptions"


def said(name: str, content: bytes) -> str:
    """What is heard in a file."""
    return f"{name}: {len(content)} bytes, {sum(content) % 65_521}"


@Request.application
def ears(request: Request) -> Response:
    """Answers in the form asked for, as OpenAI's whisper-1 does."""
    assert (request.method, request.path) == ("POST", PATH), request.path
    file = request.files["file"]
    text = said(file.filename or "", file.stream.read())
    form = request.form.get("response_format", "json")
    words = [{"word": word, "start": 0.0, "end": SECONDS} for word in text.split()]
    usage = {"type": "duration", "seconds": SECONDS}
    if form == "json":
        return _json({"text": text, "usage": usage})
    if form == "verbose_json":
        more = {"task": "transcribe", "language": "english", "duration": SECONDS, "words": words}
        return _json({"text": text, **more, "usage": usage})
    cues = [f"00:00:00{mark}000 --> 00:00:02{mark}500\n{text}\n" for mark in (",", ".")]
    texts = {"text": f"{text}\n", "srt": f"1\n{cues[0]}", "vtt": f"WEBVTT\n\n{cues[1]}"}
    return Response(texts[form], mimetype="text/plain")


def _json(body: object) -> Response:
    return Response(json.dumps(body), mimetype="application/json")


@contextmanager
def listening() -> Iterator[str]:
    """The base URL of such a server while it runs."""
    server = make_server("127.0.0.1", 0, ears, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/v1"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
