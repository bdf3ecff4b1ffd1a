import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emotion.reading.spelling import spelled


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("so funny😂😂😂", "so funny face with tears of joy "),
        ("❤️", " heavy black heart "),
        ("👍🏽 fine", " thumbs up sign  fine"),
        ("🤷‍♀️", " shrug "),
        ("😀😢", " grinning face  crying face "),
        ("“don’t”", '"don\'t"'),
        ("café, 月", "café, 月"),
        ("⣿⠀", "⣿⠀"),
    ],
)
def test_what_the_vocabulary_lacks_is_spelled(text: str, wanted: str) -> None:
    assert spelled(text) == wanted


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert spelled(text) == text


@given(st.text())
def test_any_text_can_be_spelled_and_then_needs_no_more(text: str) -> None:
    assert spelled(spelled(text)) == spelled(text)
