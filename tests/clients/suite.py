"""LangChain's standard suite for builtin/sim, with all that it has for a model.

The suite fetches an image, a recording and a document from the internet; it gets small ones made
here instead, since what is tested is the way to the server.
"""

import base64
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAV = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    + bytes(16)
    + b"data"
    + bytes(68)
)
PDF = b"%PDF-1.4\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"


class Sim(ChatModelIntegrationTests):
    """What the simulator can do, told to the suite; a subclass says by which door."""

    @pytest.fixture(autouse=True)
    def no_internet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answers what the suite fetches with httpx.get."""
        made = {"png": PNG, "wav": WAV, "pdf": PDF}

        def get(url: str, **_: Any) -> httpx.Response:
            return httpx.Response(200, content=made[url.rpartition(".")[2]])

        monkeypatch.setattr(httpx, "get", get)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "builtin/sim", "stream_usage": True}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "builtin/eliza"

    @property
    def usage_details(self) -> list[str]:
        """What the usage tells in detail."""
        return ["audio_input", "reasoning_output", "cache_read_input"]

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        return {"invoke": self.usage_details, "stream": self.usage_details}

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        audio = base64.b64encode(WAV).decode()
        part = {"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}}
        return self.asked([{"role": "user", "content": [part]}], stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self.asked("Think first.", stream=stream, reasoning_effort="low")

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        cached = {"metadata": {"sim_cached_tokens": "2"}}
        return self.asked("Hello again.", stream=stream, extra_body=cached)

    def asked(self, prompt: Any, *, stream: bool, **params: Any) -> AIMessage:
        """The answer to a prompt, its chunks added up where it is streamed."""
        model = self.chat_model_class(**self.chat_model_params, **params)
        if not stream:
            return model.invoke(prompt)
        whole: Any = None
        for chunk in model.stream(prompt):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        return whole
