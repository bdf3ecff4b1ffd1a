"""Quality against cost as a picture: what the router buys, what its models do alone, and what can
be bought without a look at the prompt. One SVG file that reads in light and dark."""

import math
from collections.abc import Callable, Sequence
from html import escape

from app.uniroute.evaluate import Drawing

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 56
RADIUS = 4
LABEL_HEIGHT = 14
CHAR_WIDTH = 6.6
"""Of the labels' font, about, in pixels."""

TICKS_MOST = 7
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
Place = Callable[[float, float], tuple[float, float]]
"""From cost and quality to pixels."""

STYLE = """
.ground { fill: #ffffff }
text { font: 12px system-ui, sans-serif; fill: #24292f; stroke: #ffffff; stroke-width: 4;
paint-order: stroke }
.axis { stroke: #57606a; stroke-width: 1 } .grid { stroke: #d0d7de; stroke-width: 1 }
.router { stroke: #0969da; stroke-width: 2.5; fill: none }
.hull { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none }
.model { fill: #cf222e } .router-text { fill: #0969da; font-weight: 600 } .dim { fill: #57606a }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #e6edf3; stroke: #0d1117 }
.axis { stroke: #8b949e } .grid { stroke: #30363d }
.router { stroke: #58a6ff } .hull { stroke: #8b949e } .model { fill: #ff7b72 }
.router-text { fill: #58a6ff } .dim { fill: #8b949e } }
"""


def pareto_svg(drawing: Drawing, *, measured: bool = True) -> str:
    """The picture. Costs are shares of the dearest model's, qualities the means of the scores, or
    what a profile expects of itself where nothing was `measured`; the picture says which."""
    quality = "mean quality" if measured else "expected quality, not measured"
    every = [
        *drawing.router.qualities.tolist(),
        *drawing.hull.qualities.tolist(),
        *drawing.qualities,
    ]
    room = (max(every) - min(every)) * 0.08 or 0.05
    low, high = min(every) - room, max(every) + room

    def place(cost: float, quality: float) -> tuple[float, float]:
        across = LEFT + cost * (WIDTH - LEFT - RIGHT)
        up = (quality - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(HEIGHT - BOTTOM - up, 1)

    points = [place(c, q) for c, q in zip(drawing.costs, drawing.qualities, strict=True)]
    curves = [
        (kind, [place(c, q) for c, q in zip(one.costs, one.qualities, strict=True)])
        for kind, one in (("hull", drawing.hull), ("router", drawing.router))
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{quality.capitalize()} against cost, of the router and of single models">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        *_grid(low, high, place, quality),
        *[
            f'<polyline class="{kind}" points="{" ".join(f"{x},{y}" for x, y in line)}"/>'
            for kind, line in curves
        ],
        *[f'<circle class="model" cx="{x}" cy="{y}" r="{RADIUS}"/>' for x, y in points],
        *_labels(drawing.models, points),
        f'<text class="router-text" x="{LEFT + 12}" y="{TOP - 18}">router</text>',
        f'<text class="dim" x="{LEFT + 64}" y="{TOP - 18}">- - no router: prompts shared '
        "out between single models</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(low: float, high: float, place: Place, quality: str) -> list[str]:
    parts = []
    left, bottom = place(0, low)
    right, top = place(1, high)
    step = next(one for one in STEPS if (high - low) / one <= TICKS_MOST)
    for tick in range(math.ceil(low / step), math.floor(high / step) + 1):
        _, y = place(0, tick * step)
        parts += [
            f'<line class="grid" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>',
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{tick * step:.2f}</text>',
        ]
    for fifth in range(6):
        x, _ = place(fifth / 5, low)
        parts += [
            f'<line class="grid" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>',
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{fifth / 5:.0%}</text>',
        ]
    middle = (left + right) / 2
    return [
        *parts,
        f'<path class="axis" fill="none" d="M{left} {top}V{bottom}H{right}"/>',
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">mean cost of an answer, in '
        "shares of the dearest model's</text>",
        f'<text x="14" y="{(top + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(top + bottom) / 2})">{quality}</text>',
    ]


def _labels(models: Sequence[str], points: Sequence[tuple[float, float]]) -> list[str]:
    """Each model's name beside its point, moved down where another name or point is in the way."""
    taken = [(x - RADIUS, x + RADIUS, y + 4) for x, y in points]
    parts = []
    for name, (x, y) in sorted(zip(models, points, strict=True), key=lambda one: one[1][1]):
        width = len(name) * CHAR_WIDTH
        ends = x + 8 + width > WIDTH - RIGHT
        start = x - 8 - width if ends else x + 8
        at = y + 4
        while any(
            abs(at - other) < LABEL_HEIGHT and start < right and left < start + width
            for left, right, other in taken
        ):
            at += 2
        taken.append((start, start + width, at))
        anchor = ' text-anchor="end"' if ends else ""
        parts.append(
            f'<text x="{round(x - 8 if ends else x + 8, 1)}" y="{round(at, 1)}"{anchor}>'
            f"{escape(name)}</text>"
        )
    return parts
