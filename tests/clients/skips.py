"""The tests of others' suites that do not run against a stack, each with its reason."""

_RECORDED = "measures a client against a recorded answer, not a server"

SKIPS = {
    "TestChat::test_stream_time": _RECORDED,
    "TestResponses::test_stream_time": _RECORDED,
    "TestMessages::test_stream_time": _RECORDED,
    "TestResponses::test_audio_inputs": "langchain-openai sends no audio over this API",
    "TestMessages::test_audio_inputs": "Anthropic's API has no audio",
    "TestMessages::test_json_mode": "Anthropic's API has no JSON mode without a schema",
}
