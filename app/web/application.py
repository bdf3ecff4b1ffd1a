"""Flask without what no route here uses: sessions of its own, views that are coroutines, and a
search for paths that stand in the table as they are. Together these were a sixth of what the chat
door takes."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import Rule

Proxied = TypeVar("Proxied")


class _NoSession(SessionInterface):
    _session = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        return self._session


class _Found:
    """A match that is known; the part of a MapAdapter that a request asks for."""

    __slots__ = ("_match",)

    def __init__(self, rule: Rule) -> None:
        self._match: tuple[Rule, dict[str, Any]] = rule, {}

    def match(self, return_rule: bool = True) -> tuple[Rule, dict[str, Any]]:
        return self._match


class Application(Flask):
    """A Flask whose routes are all there before its first request."""

    session_interface = _NoSession()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def create_url_adapter(self, request: Request | None) -> Any:
        if request is not None:
            environ = request.environ
            found = self._plain().get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if found is not None:
                return found
        return super().create_url_adapter(request)

    def _plain(self) -> dict[tuple[str, str], _Found]:
        """The rules whose paths hold no parameter, by method and path."""
        known: dict[tuple[str, str], _Found] | None = self.__dict__.get("_known")
        if known is None:
            known = self._known = {
                (method, rule.rule): _Found(rule)
                for rule in self.url_map.iter_rules()
                if not rule.arguments
                for method in rule.methods or ()
                if method not in ("HEAD", "OPTIONS")
            }
        return known


def current(proxy: Proxied) -> Proxied:
    """What stands behind `flask.request` or `flask.g` now: each look through these costs as much as
    a small function."""
    behind: Proxied = proxy._get_current_object()  # type: ignore[attr-defined]
    return behind
