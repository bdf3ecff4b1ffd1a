"""Passages cover a document, stay in bounds, and keep to its structure."""

import re
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.lunes.chunking import HEADING_TOKENS, MARKS, MOST, TARGET, chunk
from app.lunes.extraction.blocks import Block, block, joined


def count(texts: Sequence[str]) -> list[int]:
    """As a tokenizer that takes words, and signs one by one."""
    return [MARKS + len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


WORDS = st.sampled_from(
    ["moon", "far.", "A", "Is it?", "b\nc", "x" * 40, "y" * 5000, "月。", "🙂", "\n", "(so.)", "—"]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=400).map(" ".join)
LONG = st.integers(0, 3).flatmap(lambda n: TEXTS.map(lambda text: (text + " ") * 3**n))
BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just("heading"), st.text("abc ", max_size=230), st.integers(1, 6)),
        st.tuples(st.sampled_from(["text", "item", "row", "code"]), LONG, st.just(0)),
    ),
    max_size=12,
).map(lambda found: [one for kind, text, level in found for one in block(kind, text, level)])


@given(BLOCKS, st.none() | st.text("ab ", min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_nothing_is_too_long(blocks: list[Block], title: str | None) -> None:
    text, starts = joined(blocks)
    passages = chunk(title, blocks, count)
    assert [one.ordinal for one in passages] == list(range(len(passages)))
    covered = bytearray(len(text))
    for one in passages:
        assert text[one.start_at : one.end_at] == one.content
        assert one.content.strip("\n")
        assert one.tokens <= MOST
        assert count([one.told])[0] == one.tokens + MARKS
        covered[one.start_at : one.end_at] = b"\1" * len(one.content)
    for start, there in zip(starts, blocks, strict=True):
        if there.kind != "heading":
            rest = [c for at, c in enumerate(there.text, start) if not covered[at] and c.strip()]
            assert not rest, there
    for before, after in pairwise(passages):
        assert (before.start_at, before.end_at) < (after.start_at, after.end_at)


@given(BLOCKS)
@settings(max_examples=40, deadline=None)
def test_every_heading_is_said_above_or_in_a_passage(blocks: list[Block]) -> None:
    passages = chunk(None, blocks, count)
    for one in blocks:
        if one.kind == "heading" and count([one.text])[0] < HEADING_TOKENS / 8:
            assert any(one.text in (*p.heading.split(" > "), p.content) for p in passages)


def made(*texts: str) -> list[Block]:
    """Paragraphs, and headings that begin with `#`."""
    return [
        Block("heading", text.lstrip("# "), len(text) - len(text.lstrip("#")))
        if text.startswith("#")
        else Block("text", text)
        for text in texts
    ]


def test_a_passage_stays_in_its_section_under_its_headings() -> None:
    blocks = made("# Guide", "Far.", "## Install", "Fly.", "Land.", "## Use", "### Walk", "Slowly.")
    passages = chunk("Guide", blocks, count)
    assert [(one.heading, one.content) for one in passages] == [
        ("Guide", "Far."),
        ("Guide > Install", "Fly.\n\nLand."),
        ("Guide > Use > Walk", "Slowly."),
    ]
    assert chunk("Moon", blocks, count)[1].heading == "Moon > Guide > Install"


def test_a_heading_with_nothing_under_it_is_not_lost() -> None:
    passages = chunk(None, made("# Guide", "Far.", "## Empty", "## Use", "Walk.", "# End"), count)
    assert [(one.heading, one.content) for one in passages] == [
        ("Guide", "Far."),
        ("Guide", "Empty"),
        ("Guide > Use", "Walk."),
        ("", "End"),
    ]


def test_short_paragraphs_share_a_passage_and_long_sections_are_cut_between_them() -> None:
    paragraphs = [f"Paragraph {n} " + "word " * 57 + "ends." for n in range(7)]
    passages = chunk(None, made(*[p.strip() for p in paragraphs]), count)
    assert [one.content.count("Paragraph") for one in passages] == [3, 4]
    assert all(one.content.endswith("ends.") for one in passages)


def test_what_is_repeated_is_short_and_of_the_same_section() -> None:
    sentences = " ".join(f"Sentence {n} goes on for nine words and ends." for n in range(80))
    passages = chunk(None, made("# One", sentences, "# Two", "Other."), count)
    assert len(passages) > 4
    for before, after in pairwise(passages[:-1]):
        repeated = before.content[after.start_at - before.start_at :]
        assert repeated, "a sentence of the one before"
        assert count([repeated])[0] <= 40 + MARKS
        assert after.content.startswith("Sentence")
    assert passages[-1].content == "Other."


def test_code_and_rows_are_whole_unless_they_are_longer_than_a_passage() -> None:
    lines = [f"line {n} = {n}" for n in range(25)]
    code = Block("code", "\n".join(lines))
    words = Block("text", "word " * 150 + "end")
    passages = chunk(None, [words, code, words], count)
    assert any(code.text in one.content for one in passages)
    long = Block("code", "\n".join(lines * 10))
    cut = chunk(None, [long], count)
    assert len(cut) > 1
    assert all(one.content.startswith("line") and one.content[-1].isdigit() for one in cut)


def test_a_word_without_end_is_cut() -> None:
    passages = chunk(None, made("z" * 50_000), count)
    assert (passages[0].start_at, passages[-1].end_at) == (0, 50_000)
    assert all(after.start_at <= before.end_at for before, after in pairwise(passages))
    assert max(len(one.content) for one in passages) <= TARGET * 12 + 1000


def test_words_without_a_sentence_are_cut_between_words() -> None:
    text = " ".join(f"word{n}" for n in range(20_000))
    passages = chunk(None, made(text), count)
    assert len(passages) < 20_000 / (TARGET / 2)
    for before, after in pairwise(passages):
        assert before.content.rpartition(" ")[2] in text.split()
        assert after.content.partition(" ")[0].startswith("word")


def test_signs_that_are_tokens_each_are_cut_as_often_as_it_takes() -> None:
    passages = chunk("Title " * 30, made("—" * 5_000), count)
    assert passages[-1].end_at == 5_000
    assert max(one.tokens for one in passages) <= MOST
