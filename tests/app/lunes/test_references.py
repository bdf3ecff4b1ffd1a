"""Which sources an answer cites, and where."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lunes.references import References, Source, citations

GUIDE = Source("https://docs.example/guide", "Guide")
INSTALL = Source("https://docs.example/guide/install", "Guide > Install")
UPLOAD = Source("/v1/lunes/lune_1/documents/doc_1", "Notes")
SOURCES = (GUIDE, INSTALL, UPLOAD)


def cited(text: str) -> list[tuple[str, int]]:
    """What of a text cites which source."""
    return [(text[one.start : one.end], one.number) for one in citations(text, SOURCES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is so [1].", [("[1]", 1)]),
        ("It is so.[2][3]", [("[2]", 2), ("[3]", 3)]),
        ("Both say it [1, 3].", [("[1, 3]", 1), ("[1, 3]", 3)]),
        ("Twice [2] and [2].", [("[2]", 2), ("[2]", 2)]),
        ("None of [0], [4], [999], [1234], [x], [].", []),
        ("Some of [2,7].", [("[2,7]", 2)]),
        (f"See [1]({GUIDE.url}).", [(f"[1]({GUIDE.url})", 1)]),
        ("See [1](https://elsewhere.example).", [("[1]", 1)]),
        (f"See {GUIDE.url}.", [(GUIDE.url, 1)]),
        (f"See ({INSTALL.url}) and <{GUIDE.url}>", [(INSTALL.url, 2), (GUIDE.url, 1)]),
        (f"Not {GUIDE.url}/more, nor x{UPLOAD.url}", []),
        (f"At {UPLOAD.url}, says [3]", [(UPLOAD.url, 3), ("[3]", 3)]),
        ("Code is none: `x[1]`, and\n```\ny[2]\n```\nbut this [3]", [("[3]", 3)]),
        ("```\nunclosed[1]", []),
        ("🌙 Mond [1] 🌙", [("[1]", 1)]),
        ("Call args[1], a_[2] or f(x)[3]; 月は遠い[1]。", [("[3]", 3), ("[1]", 1)]),
    ],
)
def test_marks_and_addresses_of_sources_are_citations(
    text: str, expected: list[tuple[str, int]]
) -> None:
    assert cited(text) == expected


def test_without_sources_nothing_is_cited() -> None:
    assert citations("It is so [1].", []) == []


pieces = st.lists(
    st.one_of(
        st.sampled_from(["[1]", "[2, 3]", "`", "```", GUIDE.url, INSTALL.url, "[1](", ")", " "]),
        st.text(max_size=5),
    ),
    max_size=20,
)


@given(pieces.map("".join))
def test_every_citation_is_a_mark_or_an_address_of_its_source(text: str) -> None:
    last = 0
    for one in citations(text, SOURCES):
        said, url = text[one.start : one.end], SOURCES[one.number - 1].url
        assert said == url or (said.startswith("[") and str(one.number) in said)
        assert one.start >= last
        last = one.start


def note(start: int, end: int, source: Source) -> dict[str, Any]:
    told = {"start_index": start, "end_index": end, "url": source.url, "title": source.title}
    return {"type": "url_citation", "url_citation": told}


def test_annotations_count_code_points_as_openai_does() -> None:
    notes = References(SOURCES).annotations(0, "🌙🌙 é [2]", {})
    assert notes == [note(5, 8, INSTALL)]


def test_annotations_that_a_message_has_are_not_made_again() -> None:
    references = References(SOURCES)
    message = {"annotations": references.annotations(0, "so [1]", {})}
    assert references.annotations(0, "so [1]", message) == []
    assert references.urls() == [GUIDE.url]


def test_the_urls_stand_in_the_order_of_first_citation_over_all_choices() -> None:
    references = References((*SOURCES, Source(GUIDE.url, "Guide > Other")))
    references.annotations(1, "[1] [3]", {})
    references.annotations(0, "[3] [4] [3]", {})
    assert references.urls() == [UPLOAD.url, GUIDE.url]


def test_an_answer_that_cites_nothing_refers_to_all_that_it_was_given() -> None:
    references = References((GUIDE, UPLOAD, GUIDE))
    references.annotations(0, "It is so.", {})
    assert references.urls() == [GUIDE.url, UPLOAD.url]
    assert References(()).urls() == []
