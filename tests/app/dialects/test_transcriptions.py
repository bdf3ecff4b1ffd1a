"""What a transcription's usage says."""

from app.dialects.transcriptions import transcription_shown


def test_a_usage_in_seconds_says_so() -> None:
    stored = {"text": "hello", "usage": {"prompt_tokens": 0, "seconds": 2.5, "ttft_ms": 1}}
    assert transcription_shown(stored) == {
        "text": "hello",
        "usage": {"type": "duration", "prompt_tokens": 0, "seconds": 2.5, "ttft_ms": 1},
    }


def test_a_usage_in_tokens_has_openais_names_too() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    shown = transcription_shown({"text": "hello", "usage": usage})
    assert shown["usage"] == {"type": "tokens", "input_tokens": 7, "output_tokens": 2, **usage}
