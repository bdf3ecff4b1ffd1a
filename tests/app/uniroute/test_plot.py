"""The picture of quality against cost."""

from itertools import pairwise
from xml.etree import ElementTree as tree

import numpy as np

from app.uniroute.curve import Curve
from app.uniroute.evaluate import Drawing, learned_on_halves
from app.uniroute.plot import pareto_svg
from tests.app.uniroute.worlds import MODELS, USD, world

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_each_model_the_router_and_what_is_bought_without_it() -> None:
    prompts, scored, _ = world(120)
    [run] = learned_on_halves(prompts, scored, USD, 1)
    drawn = tree.fromstring(pareto_svg(run.drawing))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    said = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {*MODELS, "router"} <= set(said)
    dots = [
        (float(one.attrib["cx"]), float(one.attrib["cy"])) for one in drawn.iter(f"{SVG}circle")
    ]
    assert len(dots) == len(MODELS)
    lines = {one.attrib["class"]: one.attrib["points"] for one in drawn.iter(f"{SVG}polyline")}
    assert set(lines) == {"router", "hull"}
    points = [tuple(map(float, at.split(","))) for line in lines.values() for at in line.split()]
    for x, y in (*dots, *points):
        assert 0 < x < width
        assert 0 < y < height
    dearest = dots[int(np.argmax(run.drawing.costs))]
    assert dearest[0] == max(x for x, _ in dots)
    assert "prefers-color-scheme: dark" in "".join(drawn.itertext())
    assert ("mean quality" in said, "expected quality, not measured" in said) == (True, False)
    other = pareto_svg(run.drawing, measured=False)
    assert ("mean quality" in other, "expected quality, not measured" in other) == (False, True)


def test_names_that_would_lie_on_each_other_are_moved_apart() -> None:
    prompts, scored, _ = world(60)
    [run] = learned_on_halves(prompts, scored, np.ones(len(MODELS)), 1)
    drawn = tree.fromstring(pareto_svg(run.drawing))
    heights = sorted(
        float(one.attrib["y"]) for one in drawn.iter(f"{SVG}text") if one.text in MODELS
    )
    assert min(b - a for a, b in pairwise(heights)) >= 13


def test_a_name_lies_on_no_other_models_point() -> None:
    flat = Curve(np.array([0.0, 1.0]), np.array([0.4, 0.6]))
    drawing = Drawing(flat, flat, ("first", "second"), (0.1, 0.13), (0.5, 0.5))
    drawn = tree.fromstring(pareto_svg(drawing))
    [name] = [one for one in drawn.iter(f"{SVG}text") if one.text == "first"]
    _, second = drawn.iter(f"{SVG}circle")
    assert float(name.attrib["x"]) < float(second.attrib["cx"])
    assert float(name.attrib["y"]) - 12 > float(second.attrib["cy"]) - 4
