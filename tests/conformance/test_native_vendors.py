"""Providers whose API is not OpenAI's, behind a whole stack: the client speaks OpenAI's form, the
vendor, played here, its own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.stacks import Stack
from tests.workers.providers.vendors import vendors
from tests.workers.providers.vendors.base import Request, Said, ToolSaid, UsageSaid, Vendor

pytestmark = pytest.mark.xdist_group("vendors")

CATALOGUE = """
providers:
  house-claude: {{kind: anthropic, base_url: "{claude}/v1", api_key_env: CLAUDE_TEST_KEY}}
  house-gemini: {{kind: gemini, base_url: "{gemini}/v1beta", api_key_env: GEMINI_TEST_KEY}}
models:
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
SAID = Said(thoughts=("Hm.",), usage=UsageSaid(prompt=1000, cached=400, completion=50, reasoning=9))
COST_USD = 600 * 2e-6 + 400 * 0.2e-6 + 50 * 10e-6
CALL = Said(texts=(), tools=(ToolSaid("toolu_1", "phase", ('{"at"', ':"now"}')),))


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


BY_NAME = {vendor.name: vendor for vendor in vendors()}
VENDORS = {"claude": BY_NAME["anthropic"], "gemini": BY_NAME["gemini"]}


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Played]]:
    all_played = {name: Played(vendor) for name, vendor in VENDORS.items()}
    yield all_played
    for one in all_played.values():
        one.server.shutdown()


@pytest.fixture(scope="module")
def client(
    played: dict[str, Played], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    own = Path(tmp_path_factory.mktemp("catalogue")) / "own.yaml"
    own.write_text(CATALOGUE.format(**{name: vendor.url for name, vendor in played.items()}))
    env = {"MOONPOOL_CATALOGUE": str(own), "CLAUDE_TEST_KEY": KEY, "GEMINI_TEST_KEY": KEY}
    with (
        Stack(env) as stack,
        openai.OpenAI(base_url=stack.base_url, api_key=stack.key, max_retries=0) as client,
    ):
        yield client


HELLO: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Moon?"},
]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "phase",
        "description": "The moon's.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
each = pytest.mark.parametrize("name", VENDORS)


@each
def test_an_answer_comes_with_thoughts_and_costs_what_it_should(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = SAID
    told: Any = client.chat.completions.create(model=name, messages=HELLO)
    assert told.choices[0].message.content == SAID.text
    assert told.choices[0].message.reasoning_content == "Hm."
    assert told.choices[0].finish_reason == "stop"
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (1000, 50)
    assert told.usage.total_cost_usd == pytest.approx(COST_USD)
    heard = VENDORS[name].heard(played[name].requests[-1])
    assert (heard.key, heard.messages) == (KEY, HELLO)
    assert heard.fields == ({"max_tokens": 777} if name == "claude" else {})


@each
def test_a_stream_says_and_costs_the_same(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = SAID
    chunks = client.chat.completions.create(
        model=name, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    told: list[Any] = [*chunks]
    deltas = [choice.delta for chunk in told for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == SAID.text
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(thoughts) == "Hm."
    assert told[-1].usage.total_cost_usd == pytest.approx(COST_USD)


@each
def test_a_tool_is_called_and_its_result_goes_back_with_what_the_vendor_signed(
    client: openai.OpenAI, played: dict[str, Played], name: str
) -> None:
    played[name].said = CALL
    told = client.chat.completions.create(model=name, messages=HELLO, tools=[TOOL])
    message = told.choices[0].message
    assert told.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    [call] = message.tool_calls
    played[name].said = SAID
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "full"}
    turns: list[Any] = [*HELLO, message.model_dump(exclude_none=True), result]
    client.chat.completions.create(model=name, messages=turns, tools=[TOOL])
    request = played[name].requests[-1]
    heard = VENDORS[name].heard(request)
    assert [one["role"] for one in heard.messages] == ["system", "user", "assistant", "tool"]
    assert heard.messages[3] == {"role": "tool", "tool_call_id": call.id, "content": "full"}
    assert (b'"thoughtSignature":"c2ln"' in request.body) is (name == "gemini")


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("claude", {"seed": 1}, "seed"),
        ("claude", {"extra_body": {"top_k": 3}}, "top_k"),
        ("claude", {"temperature": 1.5}, "temperature"),
        ("gemini", {"logit_bias": {"1": 1}}, "logit_bias"),
        ("gemini", {"reasoning_effort": "none"}, "reasoning_effort"),
    ],
)
def test_what_a_vendor_cannot_do_is_refused_by_name(
    client: openai.OpenAI, name: str, fields: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=name, messages=HELLO, **fields)
    assert raised.value.param == param
