"""The calls of five documented APIs, unchanged but for address and key, and answers as promised.

The models that their pages name are the simulator's here, under the same names and providers.
"""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from app.emotion.state import Pad
from app.emotion.words import FEELINGS, STANCES, bands, sign
from tests.conformance.conftest import at_root
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("house")

USAGE = (
    "prompt_tokens", "completion_tokens", "total_tokens", "input_cost_usd", "output_cost_usd",
    "total_cost_usd", "latency_ms", "ttft_ms",
)  # fmt: skip
AXES = ("valence", "arousal", "dominance")
HELLO = [{"role": "user", "content": "Hello!"}]
HELPFUL = {"role": "system", "content": "You are a helpful assistant."}


def posted(client: httpx.Client, path: str, body: Any, **headers: str) -> dict[str, Any]:
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def streamed(client: httpx.Client, path: str, body: Any) -> list[dict[str, Any]]:
    """The chunks of a stream that ends as it should."""
    with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def is_completion(told: dict[str, Any], model: str) -> None:
    """A chat.completion with one choice that says something."""
    assert told["id"].startswith("chatcmpl")
    assert (told["object"], told["model"]) == ("chat.completion", model)
    assert isinstance(told["created"], int)
    [choice] = told["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    used = told["usage"]
    assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]


def test_astralucent_chats_with_lilly(bearer: httpx.Client) -> None:
    body = {
        "model": "lilly-emotional",
        "messages": [HELPFUL, {"role": "user", "content": "What's the weather like?"}],
        "temperature": 0.7,
        "max_tokens": 150,
        "stream": False,
        "extra_body": {
            "emotion_tracking": True,
            "session_id": "unique-session-id",
            "emotion_style": "empathetic",
        },
    }
    answer = bearer.post("/v1/chat/completions", json=body)
    is_completion(answer.json(), "lilly-emotional")
    felt = answer.json()["emotion_state"]
    assert all(-1 <= felt[axis] <= 1 for axis in AXES)
    assert felt["primary_emotion"]
    assert 0 <= felt["confidence"] <= 1
    for name in ("Limit", "Remaining", "Reset"):
        assert int(answer.headers[f"X-RateLimit-{name}"]) >= 0


EXAMPLE = """
from openai import OpenAI
import json
# Initialize client
client = OpenAI(
    api_key="your-api-key",
    base_url="https://api.astralucent.com/v1"
)
# Start a conversation with emotion tracking
session_id = "user-123"
# Create an emotionally aware response
response = client.chat.completions.create(
    model="lilly-emotional",
    messages=[
        {
            "role": "system",
            "content": "You are Lilly, an AI with genuine emotional understanding."
        },
        {
            "role": "user",
            "content": "I'm feeling a bit overwhelmed with my project."
        }
    ],
    extra_body={
        "emotion_tracking": True,
        "session_id": session_id,
        "personality_traits": {
            "empathetic": 0.9,
            "supportive": 0.85
        }
    }
)
print(f"Lilly: {response.choices[0].message.content}")
# Check emotional state
import requests
emotion_response = requests.get(
    f"https://api.astralucent.com/v1/emotions/{session_id}",
    headers={"Authorization": f"Bearer your-api-key"}
)
emotion_state = emotion_response.json()
print(f"\\nEmotional State: {emotion_state['current_state']['description']}")
"""


def test_astralucents_own_example_prints_a_description_that_fits(
    house: Stack, bearer: httpx.Client
) -> None:
    program = EXAMPLE.replace("https://api.astralucent.com/v1", house.base_url)
    program = program.replace("your-api-key", house.key)
    run = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    said, _, described = run.stdout.strip().partition("\n\nEmotional State: ")
    assert said.startswith("Lilly: ")
    told = bearer.get("/v1/emotions/user-123").json()
    pad = Pad(*(told["current_state"][axis] for axis in AXES))
    at = bands(pad)
    assert described in {
        f"I'm feeling {feeling}, {stance}."
        for feeling in FEELINGS[at.valence, at.arousal]
        for stance in STANCES[sign(at.valence), at.dominance]
    }
    assert told["personality_traits"]["supportive"] == 0.85
    [turn] = told["emotion_history"]
    assert turn["trigger"] == "user_statement"


def test_astralucent_refuses_a_wrong_key_as_its_page_shows(house: Stack) -> None:
    with at_root(house, {"Authorization": "Bearer YOUR_API_KEY"}) as stranger:
        answer = stranger.post("/v1/chat/completions", json={"messages": HELLO})
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")


def test_lunos_lists_its_models_to_everybody(house: Stack) -> None:
    with at_root(house, {}) as stranger:
        told = stranger.get("/public/models").json()
    assert told["status"] == "success"
    assert told["meta"]["processing_time"] >= 0
    models = {model["id"]: model for model in told["data"]["models"]}
    gpt = models["gpt-4"]
    assert (gpt["provider"], gpt["object"]) == ("openai", "model")
    assert gpt["capabilities"] == ["text-completion", "chat-completion"]
    assert gpt["pricing"] == {
        "input": 0.00003, "output": 0.00006, "unit": "token", "currency": "USD",
    }  # fmt: skip


def test_lunos_counts_what_an_app_used(bearer: httpx.Client) -> None:
    body = {"model": "openai/gpt-4", "messages": [{"role": "user", "content": "Hello"}]}
    is_completion(
        posted(bearer, "/v1/chat/completions", body, **{"X-App-ID": "my-curl-app"}), "openai/gpt-4"
    )
    row = bearer.get("/v1/usage", params={"group_by": "app", "app_id": "my-curl-app"}).json()
    assert row["data"][0]["app_id"] == "my-curl-app"
    assert row["data"][0]["requests"] == 1


@pytest.mark.parametrize("path", ["/completions", "/v1/completions"])
def test_lunos_completes_a_prompt_with_sixteen_tokens(bearer: httpx.Client, path: str) -> None:
    body = {"model": "gpt-4", "prompt": "The moon is", "temperature": 1, "top_p": 1}
    told = posted(bearer, path, body, **{"X-App-ID": "my-application-v1.0"})
    assert told["object"] == "text_completion"
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_lunos_embeds_and_draws(bearer: httpx.Client, prefix: str) -> None:
    body = {"model": "all-MiniLM-L6-v2", "input": "The moon"}
    told = posted(bearer, f"{prefix}/embeddings", body)
    assert len(told["data"][0]["embedding"]) == 384
    told = posted(bearer, f"{prefix}/images/generations", {"prompt": "The moon", "size": "256x256"})
    picture = httpx.get(told["data"][0]["url"], trust_env=False)
    assert (picture.status_code, picture.content[1:4]) == (200, b"PNG")


def test_lune_streams_without_v1(bearer: httpx.Client) -> None:
    question = "What is the format of the AIMessageChunk object in Langchain?"
    body = {
        "messages": [{"role": "user", "content": question}],
        "model": "tycho",
        "stream": True,
    }
    chunks = streamed(bearer, "/chat/completions", body)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_lune_answers_whole_with_its_switches_off(bearer: httpx.Client) -> None:
    switches = {"memory": False, "include_references": False, "include_web_chat": False}
    told = posted(
        bearer, "/chat/completions", {"messages": HELLO, "model": "tycho", "lunes": None} | switches
    )
    is_completion(told, "tycho")
    assert told["choices"][0]["logprobs"] is None
    assert "system_fingerprint" in told


CHUNKS = (
    "The AIMessageChunk object in LangChain represents a chunk of a message generated by an AI "
    "model. Its format is that of an AIMessage whose content is a part of the whole."
)
CHUNKS_URL = "https://python.langchain.com/api_reference/core/messages/ai.html"


@pytest.fixture(scope="module")
def langchain(house: Stack) -> str:
    """The name of a lune that knows what the page's example asks."""
    with at_root(house, {"Authorization": f"Bearer {house.key}"}) as client:
        made = client.post("/v1/lunes", json={"name": "langchain"})
        assert made.status_code == 201, made.text
        document = {"text": CHUNKS, "url": CHUNKS_URL, "title": "AIMessageChunk"}
        posted(client, "/v1/lunes/langchain/documents", document, Prefer="wait=60")
    return "langchain"


def test_lune_answers_with_references(bearer: httpx.Client, langchain: str) -> None:
    question = "What is the format of the AIMessageChunk object in Langchain?"
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": question}],
        "model": "tycho",
        "lunes": [langchain],
        "include_references": True,
    }
    told = posted(bearer, "/chat/completions", body)
    is_completion(told, "tycho")
    assert told["choices"][0]["logprobs"] is None
    assert told["usage"]["completion_tokens"] > 0
    assert told["url_references"] == [CHUNKS_URL]
    body["metadata"] = {"sim_cites": "true"}
    told = posted(bearer, "/chat/completions", body)
    message = told["choices"][0]["message"]
    [note] = [one["url_citation"] for one in message["annotations"]]
    assert (note["url"], note["title"]) == (CHUNKS_URL, "AIMessageChunk")
    assert message["content"][note["start_index"] : note["end_index"]] == "[1]"
    *rest, last = streamed(bearer, "/chat/completions", {**body, "stream": True})
    assert last["url_references"] == told["url_references"]
    assert last["choices"][0]["delta"]["annotations"] == message["annotations"]
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in [*rest, last]]
    assert "".join(said) == message["content"]


def test_lunar_chats_with_costs_and_times(api_key: httpx.Client) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [HELPFUL, *HELLO],
        "temperature": 0.7,
        "top_p": 1.0,
        "stop": ["###"],
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "n": 1,
    }
    told = posted(api_key, "/v1/chat/completions", body)
    is_completion(told, "gpt-4o-mini")
    used = told["usage"]
    assert all(isinstance(used[name], int | float) for name in USAGE)
    assert used["cache_input_cost_usd"] == 0
    assert used["total_cost_usd"] == pytest.approx(used["input_cost_usd"] + used["output_cost_usd"])
    assert 0 < used["ttft_ms"] <= used["latency_ms"]


def test_lunar_forces_a_provider_and_falls_back(api_key: httpx.Client) -> None:
    forced = {"model": "groq/gpt-4o-mini", "messages": HELLO}
    answer = api_key.post("/v1/chat/completions", json=forced)
    attempts = api_key.get(f"/v1/jobs/{answer.headers['x-job-id']}/attempts").json()
    assert attempts["data"][0]["calls"][0]["provider"] == "groq"
    is_completion(
        posted(
            api_key,
            "/v1/chat/completions",
            {"model": "gpt-4", "messages": HELLO, "fallbacks": ["claude-3-haiku"]},
        ),
        "gpt-4",
    )


def test_lunar_streams_pieces_of_text(api_key: httpx.Client) -> None:
    body = {"model": "gpt-4o-mini", "messages": HELLO, "stream": True}
    chunks = streamed(api_key, "/v1/chat/completions", body)
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert len([text for text in texts if text]) == 32


def test_lunar_completes_a_prompt(api_key: httpx.Client) -> None:
    body = {
        "model": "gpt-4o-mini",
        "prompt": "The capital of France is",
        "max_tokens": 50,
        "temperature": 0.7,
    }
    told = posted(api_key, "/v1/completions", body)
    assert told["id"].startswith("cmpl")
    assert (told["object"], told["model"]) == ("text_completion", "gpt-4o-mini")
    [choice] = told["choices"]
    assert choice["text"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert all(isinstance(told["usage"][name], int | float) for name in USAGE)


def test_lunar_lists_the_providers_of_a_model(api_key: httpx.Client) -> None:
    told = api_key.get("/v1/providers", params={"model": "gpt-4o-mini"}).json()
    assert [(one["id"], one["enabled"], one["params"]) for one in told] == [
        ("openai", True, {}),
        ("groq", True, {}),
    ]
    assert told[0]["type"] == "primary"
    assert api_key.get("/v1/providers").status_code == 200


def test_lunar_lists_models(api_key: httpx.Client) -> None:
    told = api_key.get("/v1/models").json()
    assert told["object"] == "list"
    assert {"gpt-4o-mini", "gpt-4", "claude-3-haiku"} <= {model["id"] for model in told["data"]}


def test_lunar_tells_errors_in_a_detail(api_key: httpx.Client) -> None:
    body: dict[str, Any] = {"model": "invalid-model", "messages": HELLO}
    answer = api_key.post("/v1/chat/completions", json=body)
    assert answer.status_code == 404
    told = answer.json()
    assert told["detail"] == told["error"]["message"]
    limited = {"sim_status": "429", "sim_retry_after": "2"}
    body = {"model": "gpt-4", "messages": HELLO, "metadata": limited}
    answer = api_key.post("/v1/chat/completions", json=body)
    assert answer.status_code == 429
    assert answer.json()["retry_after"] == 2


def test_lunaby_needs_no_model(bearer: httpx.Client) -> None:
    body = {
        "messages": [HELPFUL, {"role": "user", "content": "What is TypeScript?"}],
        "temperature": 0.7,
        "max_tokens": 1024,
        "stop": "END",
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "user": "user-123",
    }
    is_completion(posted(bearer, "/v1/chat/completions", body), "lunaby-pro")
    chunks = streamed(bearer, "/v1/chat/completions", {**body, "stream": True})
    assert {chunk["model"] for chunk in chunks} == {"lunaby-pro"}


def test_lunaby_goes_on_with_a_conversation(bearer: httpx.Client) -> None:
    conversation: list[Any] = [{"role": "system", "content": "You are a math tutor."}]
    for question in ("What is 2 + 2?", "Multiply that result by 3?"):
        conversation.append({"role": "user", "content": question})
        told = posted(bearer, "/v1/chat/completions", {"messages": conversation})
        is_completion(told, "lunaby-pro")
        conversation.append(told["choices"][0]["message"])
