"""Capital letters and digits of five by seven dots, as character displays have them.

A glyph is its five columns from the left; the lowest bit of a column is its top dot.
"""

WIDTH, HEIGHT = 5, 7
ADVANCE = WIDTH + 1
"""Dots from one glyph to the next."""

_TABLE = """
0 3e5149453e  1 00427f4000  2 4261514946  3 2141454b31  4 1814127f10  5 2745454539
6 3c4a494930  7 0171090503  8 3649494936  9 064949291e  A 7e1111117e  B 7f49494936
C 3e41414122  D 7f4141221c  E 7f49494941  F 7f09090901  G 3e4149497a  H 7f0808087f
I 00417f4100  J 2040413f01  K 7f08142241  L 7f40404040  M 7f020c027f  N 7f0408107f
O 3e4141413e  P 7f09090906  Q 3e4151215e  R 7f09192946  S 4649494931  T 01017f0101
U 3f4040403f  V 1f2040201f  W 3f4038403f  X 6314081463  Y 0708700807  Z 6151494543
"""
GLYPHS = {
    entry[0]: bytes.fromhex(entry[1:]) for entry in _TABLE.replace("\n", "  ").split("  ") if entry
}


def drawable(text: str) -> list[str]:
    """The words of a text in capitals, of the characters that there are glyphs for."""
    return "".join(char if char in GLYPHS else " " for char in text.upper()).split()


def wrapped(words: list[str], columns: int, lines: int) -> list[str]:
    """The first words in at most so many lines of so many characters; a word that is longer than a
    line is cut."""
    made = [""]
    for word in words:
        joined = f"{made[-1]} {word[:columns]}".strip()
        if len(joined) <= columns:
            made[-1] = joined
        elif len(made) == lines:
            break
        else:
            made.append(word[:columns])
    return [line for line in made if line]


def dots(line: str, row: int) -> list[tuple[int, int]]:
    """The runs of dots in a row of a line of text: where each begins and ends, in dots."""
    runs: list[tuple[int, int]] = []
    for place, char in enumerate(line):
        for column, bits in enumerate(GLYPHS.get(char, b"")):
            if bits >> row & 1:
                at = place * ADVANCE + column
                if runs and runs[-1][1] == at:
                    runs[-1] = (runs[-1][0], at + 1)
                else:
                    runs.append((at, at + 1))
    return runs
