"""What adapters whose vendor has a form of its own read out of an OpenAI chat request.

The form is that of OpenAI's API reference, "Create chat completion". What is not of it is refused
with the path of the field, since the door checks only what every provider needs.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import orjson

from workers.providers.base import ProviderError

ToolChoice = tuple[Literal["auto", "none", "required", "named"], str]
"""How tools are to be used, and the name of the one that must be."""

Wanted = Literal["text", "json_object", "json_schema"]


def refused(message: str, param: str) -> ProviderError:
    """The error for what a vendor cannot do: a 400 that names the field."""
    return ProviderError("invalid", message, status=400, param=param)


def object_at(value: Any, path: str) -> dict[str, Any]:
    """The object that stands at `path`, empty where nothing does."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise refused("must be an object", path)
    return value


def objects_at(value: Any, path: str) -> list[dict[str, Any]]:
    """The objects of the list that stands at `path`."""
    if value is not None and type(value) is not list:
        raise refused("must be a list", path)
    return [object_at(one, f"{path}.{at}") for at, one in enumerate(value or ())]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message's content: its type, its fields, and its path in the request."""

    kind: str
    body: dict[str, Any]
    path: str

    @property
    def text(self) -> str:
        """The text of a part of text or of a refusal. Raises ProviderError if it has none."""
        text = self.body.get(self.kind)
        if self.kind not in ("text", "refusal") or type(text) is not str:
            raise refused("only text can stand here", self.path)
        return text

    def inner(self) -> dict[str, Any]:
        """The object under the part's own type. Raises ProviderError if there is none."""
        inner = self.body.get(self.kind)
        if self.kind == "image_url" and type(inner) is str:
            return {"url": inner}
        if type(inner) is not dict:
            raise refused(f"{self.kind} must be an object", f"{self.path}.{self.kind}")
        return inner


@dataclass(frozen=True, slots=True)
class Blob:
    """Data that came with a request: base64, as it was sent."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a function by the model, earlier in the conversation."""

    id: str
    name: str
    arguments: dict[str, Any]
    body: dict[str, Any]


def parts_of(message: dict[str, Any], path: str) -> Iterator[Part]:
    """The parts of a message at `path`; a string is one part of text, null is none."""
    content = message.get("content")
    if type(content) is str:
        yield Part("text", {"text": content}, f"{path}.content")
        return
    for at, body in enumerate(content or ()):
        yield Part(str(body.get("type", "text")), body, f"{path}.content.{at}")


def text_of(message: dict[str, Any], path: str) -> str:
    """The text of a message that can have nothing else."""
    return "".join(part.text for part in parts_of(message, path))


def blob(url: str, path: str) -> Blob | None:
    """What a data URL holds (RFC 2397), None for another URL. Raises ProviderError if it is cut."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or not data:
        raise refused("the data URL holds nothing", path)
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Blob(media_type.lower() or "text/plain", data)


def image_of(part: Part) -> Blob | str:
    """The image of an `image_url` part: its data, or its https address."""
    path = f"{part.path}.image_url"
    url = part.inner().get("url")
    if type(url) is not str:
        raise refused("url must be a string", f"{path}.url")
    found = blob(url, path)
    if found is None and not url.startswith("https://"):
        raise refused("an image is a data URL or an https URL", path)
    return found or url


def file_of(part: Part) -> tuple[Blob, str]:
    """The data and name of a `file` part. Bare base64 is a PDF, as OpenAI takes it."""
    path = f"{part.path}.file"
    file = part.inner()
    if file.get("file_id") is not None:
        raise refused("this provider does not know the platform's files", f"{path}.file_id")
    data, name = file.get("file_data"), file.get("filename")
    if type(data) is not str or not data:
        raise refused("file_data must hold the file", f"{path}.file_data")
    return blob(data, f"{path}.file_data") or Blob("application/pdf", data), str(name or "")


def decoded(found: Blob, path: str) -> str:
    """The text that a blob holds. Raises ProviderError if it is not UTF-8."""
    try:
        return base64.b64decode(found.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refused("the data is not base64 of UTF-8 text", path) from None


def functions_of(request: dict[str, Any]) -> list[Function]:
    """The functions of `tools`. Raises ProviderError for tools of another type."""
    found = []
    for at, tool in enumerate(request.get("tools") or ()):
        if tool.get("type", "function") != "function":
            raise refused("this provider has only function tools", f"tools.{at}.type")
        told = tool.get("function")
        if type(told) is not dict or not told.get("name"):
            raise refused("a function has a name", f"tools.{at}.function.name")
        parameters = told.get("parameters") or {"type": "object", "properties": {}}
        if type(parameters) is not dict:
            raise refused("a JSON Schema is an object", f"tools.{at}.function.parameters")
        about, strict = str(told.get("description") or ""), told.get("strict") is True
        found.append(Function(str(told["name"]), about, parameters, strict, tool))
    return found


def tool_choice_of(request: dict[str, Any], functions: list[Function]) -> ToolChoice:
    """How the functions are to be used; the choice that needs one must have one."""
    choice: Any = request.get("tool_choice") or "auto"
    named = ""
    if type(choice) is dict and choice.get("type") == "function":
        named = str(object_at(choice.get("function"), "tool_choice.function").get("name"))
        choice = "named"
    if choice not in ("auto", "none", "required", "named"):
        raise refused("tool_choice is auto, none, required or one function", "tool_choice")
    known = {function.name for function in functions}
    if (choice == "required" and not known) or (choice == "named" and named not in known):
        raise refused("tool_choice wants a function that tools does not have", "tool_choice")
    return choice, named


def calls_of(message: dict[str, Any], path: str) -> list[Called]:
    """The tool calls of an assistant's message."""
    found = []
    for at, call in enumerate(objects_at(message.get("tool_calls"), f"{path}.tool_calls")):
        place = f"{path}.tool_calls.{at}"
        function = call.get("function")
        if type(function) is not dict or not function.get("name"):
            raise refused("this provider knows only calls of functions", f"{place}.type")
        arguments = _object(function.get("arguments") or "{}", f"{place}.function.arguments")
        found.append(Called(str(call.get("id") or ""), str(function["name"]), arguments, call))
    return found


def _object(text: Any, path: str) -> dict[str, Any]:
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    if type(told) is not dict:
        raise refused("arguments must be a JSON object", path)
    return told


def format_of(request: dict[str, Any]) -> tuple[Wanted, dict[str, Any]]:
    """What `response_format` wants, with the schema of `json_schema`."""
    told = request.get("response_format") or {"type": "text"}
    wanted = told.get("type")
    if wanted in ("text", "json_object"):
        return wanted, {}
    schema = object_at(told.get("json_schema"), "response_format.json_schema").get("schema")
    if wanted != "json_schema":
        raise refused("type is text, json_object or json_schema", "response_format.type")
    if type(schema) is not dict:
        raise refused("json_schema has a schema", "response_format.json_schema.schema")
    return "json_schema", schema


def stops_of(request: dict[str, Any]) -> list[str]:
    """The strings of `stop`."""
    stop = request.get("stop") or []
    return [stop] if type(stop) is str else list(stop)


def max_tokens_of(request: dict[str, Any]) -> int | None:
    """The tokens that an answer may have, None where the client does not say."""
    asked: int | None = request.get("max_completion_tokens") or request.get("max_tokens")
    return asked
