"""`/v1/router/profiles/{version}/pareto`: what a profile of the router expects to buy at the prices
of now, as numbers or as a picture."""

import re
from typing import TYPE_CHECKING, Any

from flask import Response, request

from app.embedding.apart import apart
from app.errors import NotFound
from app.uniroute.prices import Prices, per_million
from app.uniroute.shelf import Profiles, shipped
from app.uniroute.store import active_version
from app.web.auth import caller
from app.web.candidates import callable_here
from app.web.front import Front
from app.web.paging import json_answer, parameters
from app.web.schemas.router import ParetoQuery

if TYPE_CHECKING:
    from app.uniroute.curve import Curve
    from app.uniroute.expectation import Expectation, Expected

ACTIVE = "active"
SVG = "image/svg+xml"
VERSION = re.compile(r"[0-9a-f]{16}", re.ASCII)
DIGITS = 6
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of a picture whose style stands in it."""


class Pareto:
    """What profiles expect, for the web. The first that is asked for loads numpy."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._profiles, self._prices = Profiles(front.reads), Prices(front.catalogue)

    def answer(self, named: str) -> Response:
        """The answer for the version that a path names. Raises NotFound, and InvalidRequest for a
        wrong format."""
        asked = parameters(ParetoQuery).format or _accepted()
        active = self._front.reads.run(active_version) or shipped()[0]
        version = active if named == ACTIVE else named
        if VERSION.fullmatch(version) is None:
            raise NotFound(f"There is no profile {version!r}.", param="version")
        found, usd = self._expectation(version)
        if asked == "svg":
            from app.uniroute.plot import pareto_svg

            picture = pareto_svg(found.drawing, measured=False)
            answer = Response(picture, mimetype=SVG)
            answer.headers["Content-Security-Policy"] = POLICY
            answer.headers["X-Content-Type-Options"] = "nosniff"
        else:
            answer = json_answer(_told(version, version == active, found, usd))
        answer.vary.add("Accept")
        return answer

    def _expectation(self, version: str) -> "tuple[Expectation, dict[str, float]]":
        """What a profile expects, and the prices for which it does, dollars per million tokens."""
        profile = self._profiles.find(version)
        from app.uniroute.expectation import expectation

        here = callable_here(self._front, profile.models, test=caller().mode == "test")
        own = zip(profile.models, profile.usd.tolist(), strict=True)
        usd = {name: per_million(self._prices.of(name, price)) for name, price in own}
        return apart(expectation, profile, usd, here), usd


def _accepted() -> str:
    liked = request.accept_mimetypes.best_match(["application/json", SVG], "application/json")
    return "svg" if liked == SVG else "json"


def _told(
    version: str, active: bool, found: "Expectation", usd: dict[str, float]
) -> dict[str, Any]:
    return {
        "object": "router.pareto",
        "version": version,
        "active": active,
        "measured": False,
        "models": [_model(one, usd[one.model], found) for one in found.models],
        "router": _points(found.drawing.router),
        "no_router": _points(found.drawing.hull),
    }


def _model(one: "Expected", usd: float, found: "Expectation") -> dict[str, Any]:
    return {
        "model": one.model,
        "available": one.available,
        "drawn": one.model in found.drawing.models,
        "price_usd": round(usd, DIGITS),
        "cost": round(one.cost, DIGITS),
        "expected_quality": round(one.quality, DIGITS),
        "prompts": round(one.prompts, 1),
    }


def _points(curve: "Curve") -> list[dict[str, float]]:
    pairs = zip(curve.costs.tolist(), curve.qualities.tolist(), strict=True)
    return [
        {"cost": round(cost, DIGITS), "expected_quality": round(quality, DIGITS)}
        for cost, quality in pairs
    ]
