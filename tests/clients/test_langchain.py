"""LangChain's standard suite over each door for conversations: chat completions, responses,
messages."""

import os
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel

from tests.clients.suite import Sim


class TestChat(Sim):
    """langchain-openai over chat completions."""


class TestResponses(Sim):
    """langchain-openai over the Responses API, for which it has no audio."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "use_responses_api": True}

    @property
    def supports_audio_inputs(self) -> bool:
        return False

    @property
    def usage_details(self) -> list[str]:
        return ["reasoning_output", "cache_read_input"]


class TestMessages(Sim):
    """langchain-anthropic over Anthropic's Messages, which knows neither audio nor a JSON mode."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "builtin/sim",
            "api_key": os.environ["OPENAI_API_KEY"],
            "base_url": os.environ["OPENAI_BASE_URL"].removesuffix("/v1"),
        }

    @property
    def supports_json_mode(self) -> bool:
        return False

    @property
    def supports_audio_inputs(self) -> bool:
        return False

    @property
    def usage_details(self) -> list[str]:
        return []
