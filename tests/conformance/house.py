"""What several files ask of one stack: providers that are played here, and a catalogue with them
and what the pages of the documented APIs name."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.workers.providers.vendors import vendors
from tests.workers.providers.vendors.base import Request, Said, UsageSaid, Vendor

CATALOGUE = """
defaults: {{transcription: whisper}}
providers:
  openai: {{kind: sim}}
  groq: {{kind: sim}}
  anthropic: {{kind: sim}}
  ears: {{kind: openai, base_url: "{ears}"}}
  local: {{kind: openai, base_url: "{local}/v1", api_key_env: LOCAL_KEY}}
  house-claude: {{kind: anthropic, base_url: "{claude}/v1", api_key_env: CLAUDE_TEST_KEY}}
  house-gemini: {{kind: gemini, base_url: "{gemini}/v1beta", api_key_env: GEMINI_TEST_KEY}}
models:
  gpt-4o-mini:
    price: {{input: 0.15, output: 0.60}}
    routes: [{{provider: openai, model: a}}, {{provider: groq, model: b}}]
  gpt-4o: {{price: {{input: 2.5, output: 10}}, routes: [{{provider: openai, model: e}}]}}
  gpt-4: {{price: {{input: 30, output: 60}}, routes: [{{provider: openai, model: c}}]}}
  claude-3-haiku:
    price: {{input: 0.25, output: 1.25}}
    routes: [{{provider: anthropic, model: d}}]
  whisper: {{does: transcription, price: {{minute: 0.006}}, routes: [{{provider: ears, model: w}}]}}
  answering: {{price: {{input: 1, output: 2}}, routes: [{{provider: local, model: theirs}}]}}
  claude:
    max_output: 777
    without: [top_k]
    price: {{input: 2, cached_input: 0.2, output: 10}}
    routes: [{{provider: house-claude, model: their-model}}]
  gemini:
    price: {{input: 2, cached_input: 0.2, output: 10}}
    routes: [{{provider: house-gemini, model: their-model}}]
"""
KEY = "key-of-the-platform"
ENV = {
    "LOCAL_KEY": "sk-platform",
    "CLAUDE_TEST_KEY": KEY,
    "GEMINI_TEST_KEY": KEY,
    "MOONPOOL_OWN_KEY_SHARE": "0.1",
    "MOONPOOL_CACHE_HIT_SHARE": "0.25",
}
SAID = Said(thoughts=("Hm.",), usage=UsageSaid(prompt=1000, cached=400, completion=50, reasoning=9))
BY_NAME = {vendor.name: vendor for vendor in vendors()}
VENDORS = {"claude": BY_NAME["anthropic"], "gemini": BY_NAME["gemini"]}


class Provider(ThreadingHTTPServer):
    """Speaks OpenAI's chat API; refuses the key `sk-bad`; `keys` are those it was called with."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Provider)
        self.server.keys.append(self.headers["Authorization"])
        refused = self.headers["Authorization"] == "Bearer sk-bad-0123456789"
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        message = {"role": "assistant", "content": f"answer {len(self.server.keys)}"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        told: Any = {"choices": choices, "usage": usage}
        if refused:
            told = {"error": {"message": "wrong key"}}
        body = json.dumps(told).encode()
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


class Played:
    """A vendor at an address of its own, which says `said` and keeps what it heard."""

    def __init__(self, vendor: Vendor) -> None:
        played, self.vendor, self.said = self, vendor, SAID
        self.requests: list[Request] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                names = {name.lower(): value for name, value in self.headers.items()}
                played.requests.append(Request("POST", self.path, names, body))
                streamed = b'"stream":true' in body or "alt=sse" in self.path
                said = played.said
                answer = b"".join(vendor.frames(said)) if streamed else vendor.whole(said)
                kind = "text/event-stream" if streamed else "application/json"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"
