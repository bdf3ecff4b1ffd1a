"""Tables and the places that hold them."""

from pathlib import Path

import pytest

from bench.running import BenchError
from bench.tables import mebibytes, middle, number, place, table, write_places

PAGE = """# Figures

<!-- begin one -->
old
<!-- end one -->

<!-- begin two -->
<!-- end two -->
"""


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    drawn = table(("load", "target", "rate"), [("json", "direct", "7"), ("sse", "ours", "8")], 2)
    assert drawn == (
        "| load | target | rate |\n| --- | --- | ---: |\n| json | direct | 7 |\n| sse | ours | 8 |"
    )


def test_the_middle_is_the_median_with_its_range() -> None:
    assert middle([3, 1, 2000]) == "3"
    assert middle([1000, 2000.4, 3000], spread=True) == "2,000 (1,000–3,000)"
    assert middle([1.234], 2, spread=True) == "1.23"
    assert middle([]) == "–"
    assert number(1234.56, 1) == "1,234.6"
    assert number(-0.04, 1) == "0.0"
    assert mebibytes(3 << 19) == "1.5"


def test_a_place_is_filled_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    write_places(path, {"one": "1 \\1\n", "two": "2"})
    write_places(path, {"one": "3 \\1"})
    assert path.read_text() == PAGE.replace("old", "3 \\1").replace("two -->\n<", "two -->\n2\n<")


def test_a_page_without_the_place_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    with pytest.raises(BenchError, match="begin three"):
        write_places(path, {"one": "1", "three": "3"})
    assert path.read_text() == PAGE
    with pytest.raises(BenchError, match="one place for two"):
        place(PAGE + PAGE, "two", "2")
