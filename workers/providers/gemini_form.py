"""A chat request in the form of the Gemini API's `generateContent`.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/thinking,
/thought-signatures and /openai beside it; the types of google-genai 3.4.
"""

import mimetypes
from typing import Any
from urllib.parse import urlsplit

from workers.providers.base import Call
from workers.providers.conversation import (
    Called,
    Function,
    Part,
    blob,
    calls_of,
    file_of,
    format_of,
    functions_of,
    image_of,
    max_tokens_of,
    object_at,
    parts_of,
    refused,
    stops_of,
    text_of,
    tool_choice_of,
)

SAMPLING = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed",
    "n": "candidateCount", "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}  # fmt: skip
IDLE = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0}
"""Values that ask for nothing; a model that lacks the field would refuse them."""

LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""Tokens of thought by effort, as Google's own OpenAI-compatible endpoint has them."""

UNSIGNED = "skip_thought_signature_validator"
"""What the API takes in place of the signature of a call that it did not make, or that the client
did not keep."""

Json = dict[str, Any]


def body_of(call: Call) -> Json:
    """The body of a request. Raises ProviderError for what the API cannot do.

    `call.parameters["thinking"]` says how the model's thinking is set: by `level` (the default,
    Gemini 3 and later) or by `budget` (Gemini 2.5).
    """
    request, by_level = call.request, call.parameters.get("thinking", "level") == "level"
    system, contents = _conversation(request, by_level)
    config = _config(request, by_level)
    body: Json = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if config:
        body["generationConfig"] = config
    _add_tools(body, request)
    return body


def _config(request: Json, by_level: bool) -> Json:
    asked = {ours: request.get(ours) for ours in SAMPLING}
    told = {SAMPLING[ours]: value for ours, value in asked.items() if value != IDLE.get(ours)}
    told["maxOutputTokens"] = max_tokens_of(request)
    told["stopSequences"] = stops_of(request) or None
    if request.get("logprobs"):
        told |= {"responseLogprobs": True, "logprobs": request.get("top_logprobs") or None}
    wanted, schema = format_of(request)
    if wanted != "text":
        told |= {"responseMimeType": "application/json", "responseJsonSchema": schema or None}
    if (effort := request.get("reasoning_effort")) is not None:
        told["thinkingConfig"] = _thinking(effort, by_level)
    return {name: value for name, value in told.items() if value is not None}


def _thinking(effort: str, by_level: bool) -> Json:
    known = LEVELS if by_level else BUDGETS.keys()
    if effort not in known:
        raise refused(f"this model's effort is {', '.join(sorted(known))}", "reasoning_effort")
    if by_level:
        return {"thinkingLevel": effort.upper(), "includeThoughts": True}
    budget = BUDGETS[effort]
    return {"thinkingBudget": budget, "includeThoughts": budget > 0}


def _add_tools(body: Json, request: Json) -> None:
    functions = functions_of(request)
    choice, named = tool_choice_of(request, functions)
    if not functions:
        return
    body["tools"] = [{"functionDeclarations": [_declared(one) for one in functions]}]
    strict = any(function.strict for function in functions)
    # VALIDATED is AUTO with arguments that keep to their schema.
    modes = {"auto": "VALIDATED" if strict else "AUTO", "none": "NONE"}
    config: Json = {"mode": modes.get(choice, "ANY")}
    if named:
        config["allowedFunctionNames"] = [named]
    if config["mode"] != "AUTO":
        body["toolConfig"] = {"functionCallingConfig": config}


def _declared(function: Function) -> Json:
    told: Json = {"name": function.name, "description": function.description}
    if function.parameters.get("properties"):
        told["parametersJsonSchema"] = function.parameters
    return told


def _conversation(request: Json, signed: bool) -> tuple[list[Json], list[Json]]:
    """The system instruction's parts and the turns. All instructions go to the one, wherever they
    stand; messages of one role in a row are one turn."""
    system: list[Json] = []
    turns: list[Json] = []
    names: dict[str, str] = {}
    for at, message in enumerate(request["messages"]):
        path, role = f"messages.{at}", message["role"]
        if role in ("system", "developer"):
            system += [{"text": part.text} for part in parts_of(message, path) if part.text]
            continue
        if role == "assistant":
            calls = calls_of(message, path)
            names |= {called.id: called.name for called in calls}
            theirs, parts = "model", _parts(message, path) + _calls(calls, signed, path)
        elif role == "tool":
            theirs, parts = "user", [_result(message, path, names)]
        elif role == "user":
            theirs, parts = "user", _parts(message, path)
            if not parts:
                raise refused("this provider takes no empty message", f"{path}.content")
        else:
            raise refused("this provider has no such role", f"{path}.role")
        if turns and turns[-1]["role"] == theirs:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": theirs, "parts": parts})
    if not turns:
        raise refused("this provider needs a message of the user", "messages")
    return system, turns


def _calls(calls: list[Called], signed: bool, path: str) -> list[Json]:
    """Parts of calls. The first of a turn has the signature of the thoughts that led to it, which
    travels in the field that Google's own OpenAI-compatible endpoint has for it."""
    parts = []
    for at, called in enumerate(calls):
        part: Json = {
            "functionCall": {"id": called.id, "name": called.name, "args": called.arguments}
        }
        place = f"{path}.tool_calls.{at}.extra_content"
        extra = object_at(called.body.get("extra_content"), place)
        google = object_at(extra.get("google"), f"{place}.google")
        signature = google.get("thought_signature") or (UNSIGNED if signed and at == 0 else None)
        parts.append({**part, "thoughtSignature": signature} if signature else part)
    return parts


def _result(message: Json, path: str, names: dict[str, str]) -> Json:
    told = str(message.get("tool_call_id") or "")
    if told not in names:
        raise refused("no tool call before it has this id", f"{path}.tool_call_id")
    response = {"output": text_of(message, path)}
    return {"functionResponse": {"id": told, "name": names[told], "response": response}}


def _parts(message: Json, path: str) -> list[Json]:
    parts = [_part(part) for part in parts_of(message, path)]
    return [part for part in parts if part.get("text") != ""]


def _part(part: Part) -> Json:
    if part.kind == "image_url":
        found = image_of(part)
        if isinstance(found, str):
            return _elsewhere(found)
        return _inline(found.media_type, found.data)
    if part.kind == "file":
        file, _ = file_of(part)
        return _inline(file.media_type, file.data)
    if part.kind == "input_audio":
        return _audio(part)
    return {"text": part.text}


def _inline(media_type: str, data: str) -> Json:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _elsewhere(url: str) -> Json:
    media_type, _ = mimetypes.guess_type(urlsplit(url).path)
    told = {"mimeType": media_type} if media_type else {}
    return {"fileData": {"fileUri": url, **told}}


def _audio(part: Part) -> Json:
    audio = part.inner()
    data, form = audio.get("data"), audio.get("format")
    if type(data) is not str or type(form) is not str or not data:
        raise refused("audio has data and a format", f"{part.path}.input_audio")
    found = blob(data, f"{part.path}.input_audio.data")
    return _inline(f"audio/{form}", found.data if found else data)
