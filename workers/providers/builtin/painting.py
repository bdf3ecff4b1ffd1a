"""Moons over a pool: a picture composed from the hash and the words of a prompt.

Nothing here understands the prompt. Hue, moons, craters, stars, horizon and reflections follow from
its hash alone, so the same prompt, seed and number give the same picture, byte for byte.
"""

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from workers.providers.builtin.glyphs import ADVANCE, HEIGHT, dots, drawable, wrapped
from workers.providers.builtin.png import png

Colour = tuple[int, int, int]
COMMENT = "moonpool builtin/image: composed from the prompt's hash and words, by no language model"
LINES = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be painted. `seed` and `number` tell pictures of one prompt apart; `vivid`: with
    full colours; `smooth`: with soft edges."""

    prompt: str
    seed: int | None
    number: int
    width: int
    height: int
    vivid: bool = True
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class _Disc:
    x: float
    y: float
    radius: float
    colour: Colour

    def half(self, y: int) -> float:
        """Half the width of the disc in a row; 0 where it is not."""
        return math.sqrt(max(self.radius**2 - (y + 0.5 - self.y) ** 2, 0.0))


def paint(wish: Wish) -> bytes:
    """The picture as a PNG file."""
    named = f"{wish.seed}\0{wish.number}\0{wish.prompt}".encode("utf-8", "surrogatepass")
    chance = Random(blake2b(named, digest_size=16).digest())  # noqa: S311 it guards nothing
    return png(wish.width, wish.height, _Scene(wish, chance).rows(), COMMENT)


class _Scene:
    """All that stands in one picture, placed before the first row is drawn."""

    def __init__(self, wish: Wish, chance: Random) -> None:
        self._wish, self._chance = wish, chance
        self._width, self._height = wish.width, wish.height
        self._short = min(wish.width, wish.height)
        self._hue, self._saturation = chance.random(), 0.65 if wish.vivid else 0.25
        self._horizon = round(wish.height * self._between(0.62, 0.78))
        self._sky = (self._colour(0.0, 0.07), self._colour(0.08, 0.38))
        self._pool = (self._colour(0.05, 0.3), self._colour(-0.04, 0.06))
        self._light = self._colour(0.5, 0.88)
        self._moons = [self._moon(at) for at in range(1 + int(chance.random() * 3))]
        self._discs = [disc for moon in self._moons for disc in (moon, *self._craters(moon))]
        self._stars = self._scattered(round(60 + 140 * chance.random()))
        self._words = self._placed_words()

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * self._chance.random()

    def _colour(self, turn: float, lightness: float) -> Colour:
        red, green, blue = colorsys.hls_to_rgb((self._hue + turn) % 1, lightness, self._saturation)
        return round(red * 255), round(green * 255), round(blue * 255)

    def _moon(self, number: int) -> _Disc:
        radius = self._short * self._between(0.1, 0.2) / (1 + number)
        x = self._width * self._between(0.15, 0.85)
        y = radius + (self._horizon - 2 * radius) * self._between(0.1, 0.75)
        return _Disc(x, y, radius, _mixed(self._light, self._sky[1], 0.2 * number))

    def _craters(self, moon: _Disc) -> Iterator[_Disc]:
        shade = _mixed(moon.colour, self._sky[1], 0.22)
        for _ in range(3 + int(self._chance.random() * 5)):
            radius = moon.radius * self._between(0.06, 0.22)
            out = (moon.radius - radius) * math.sqrt(self._chance.random())
            turn = math.tau * self._chance.random()
            yield _Disc(moon.x + out * math.cos(turn), moon.y + out * math.sin(turn), radius, shade)

    def _scattered(self, count: int) -> dict[int, list[tuple[int, float]]]:
        stars: dict[int, list[tuple[int, float]]] = {}
        for _ in range(count):
            y = int(self._horizon * self._chance.random())
            place = int(self._width * self._chance.random()), self._between(0.2, 0.9)
            stars.setdefault(y, []).append(place)
        return stars

    def _placed_words(self) -> dict[int, list[tuple[int, int]]]:
        """The runs of pixels of the prompt's words, by row."""
        dot = max(self._short // 256, 1)
        columns = int(self._width * 0.86) // (ADVANCE * dot)
        lines = wrapped(drawable(self._wish.prompt), columns, LINES)
        line_height = (HEIGHT + 3) * dot
        top = self._height - line_height * len(lines) - self._short // 32
        runs: dict[int, list[tuple[int, int]]] = {}
        for number, line in enumerate(lines):
            left = (self._width - len(line) * ADVANCE * dot) // 2
            for row in range(HEIGHT):
                found = [(left + a * dot, left + b * dot) for a, b in dots(line, row)]
                first = top + number * line_height + row * dot
                runs |= dict.fromkeys(range(first, first + dot), found)
        return runs

    def rows(self) -> Iterator[bytearray]:
        """The rows from the top, three bytes a pixel."""
        for y in range(self._height):
            row = self._sky_row(y) if y < self._horizon else self._pool_row(y)
            for start, end in self._words.get(y, ()):
                row[start * 3 : end * 3] = bytes(self._light) * (end - start)
            yield row

    def _sky_row(self, y: int) -> bytearray:
        ground = _mixed(*self._sky, y / self._horizon)
        row = bytearray(bytes(ground) * self._width)
        for x, light in self._stars.get(y, ()):
            row[x * 3 : x * 3 + 3] = bytes(_mixed(ground, self._light, light))
        for disc in self._discs:
            if half := disc.half(y):
                self._span(row, disc.x - half, disc.x + half, disc.colour)
        return row

    def _pool_row(self, y: int) -> bytearray:
        deep = (y - self._horizon) / max(self._height - self._horizon, 1)
        ground = _mixed(*self._pool, deep)
        row = bytearray(bytes(ground) * self._width)
        for moon in self._moons:
            # A glade: broken by waves that grow wider towards the viewer.
            wave = math.sin(y * (0.9 - 0.6 * deep)) * (0.3 + 0.7 * self._chance.random())
            half = moon.radius * (0.25 + 0.75 * deep) * (0.6 + 0.4 * wave)
            x = moon.x + moon.radius * 0.2 * math.sin(y * (0.5 - 0.3 * deep))
            self._span(row, x - half, x + half, _mixed(moon.colour, ground, 0.35 + 0.55 * deep))
        return row

    def _span(self, row: bytearray, left: float, right: float, colour: Colour) -> None:
        """Fills a row from `left` to `right`; pixels that are covered in part are mixed."""
        left, right = max(left, 0.0), min(right, float(self._width))
        if right <= left:
            return
        start, end = math.ceil(left), math.floor(right)
        if end > start:
            row[start * 3 : end * 3] = bytes(colour) * (end - start)
        if self._wish.smooth:
            for x, part in ((start - 1, start - left), (end, right - end)):
                if part > 0 and 0 <= x < self._width:
                    under = row[x * 3], row[x * 3 + 1], row[x * 3 + 2]
                    row[x * 3 : x * 3 + 3] = bytes(_mixed(under, colour, min(part, 1.0)))


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """The colour between two, `share` of the way from the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
