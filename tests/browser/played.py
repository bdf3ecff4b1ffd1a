"""A model that says what a test tells it, when the test tells it, in the form of OpenAI's API."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

from tests.waiting import wait_for

FIRST = "It is a moon."
"""What a request is answered with that wants no stream."""


class Model(ThreadingHTTPServer):
    """The model at a port of its own; a context manager. Streams wait for `says` and `ends`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[dict[str, Any]] = []
        self.streams: list[Queue[str | None]] = []
        self.first = FIRST

    def __enter__(self) -> "Model":
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def says(self, *texts: str) -> None:
        """Adds to the answer that is under way; waits for the request to come."""
        stream = wait_for(lambda: self.streams[-1:], 60, "a request for a stream")[0]
        for text in texts:
            stream.put(text)

    def ends(self, *texts: str) -> None:
        """Ends the answer that is under way, after these texts."""
        self.says(*texts)
        self.streams.pop().put(None)

    def falls_silent(self) -> None:
        """Ends all answers that are under way."""
        while self.streams:
            self.streams.pop().put(None)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        model = self.server
        assert isinstance(model, Model)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model.heard.append(asked)
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        self.send_response(200)
        if not asked.get("stream"):
            self._whole(model.first, usage)
            return
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        stream: Queue[str | None] = Queue()
        model.streams.append(stream)
        while (text := stream.get()) is not None:
            self._chunk({"choices": [{"index": 0, "delta": {"content": text}}]})
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self._chunk({"choices": [last]})
        self._chunk({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _whole(self, text: str, usage: dict[str, int]) -> None:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chunk(self, told: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(told).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""
