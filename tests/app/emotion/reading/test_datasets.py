from pathlib import Path

import pytest

from app.emotion.reading import datasets
from app.emotion.reading.datasets import Named, Rated, UnknownForm

HEAD = "id,split,V,A,D,text\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    return path


def test_emobank_is_read_by_the_names_of_its_columns(folder: Path) -> None:
    path = written(folder, HEAD + 'a,train,1,3,5,"He said ""no"", twice"\nb,dev,3.5,2,3,Well\n')
    assert datasets.emobank(path) == [
        Rated('He said "no", twice', (-1, 0, 1)),
        Rated("Well", (0.25, -0.5, 0)),
    ]
    assert [row.text for row in datasets.emobank(path, "dev")] == ["Well"]
    other = written(folder, "text,D,A,V\nx,5,3,1\n")
    assert datasets.emobank(other) == [Rated("x", (-1, 0, 1))]


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("id,V,A,D\n1,2,3,4\n", None, "there is no column text"),
        ("text,V,A\nx,1,2\n", None, "there is no column D"),
        ("text,V,A,D\nx,1,2,3\n", "dev", "there is no column split"),
        ("", None, "there is no column text"),
        (HEAD, None, "there are no rows"),
        (HEAD + "a,train,1,3,5,x\n", "dev", "there are no rows of the split dev"),
        (HEAD + "a,train,1,3,5,x\nb,train,1,much,5,x\n", None, "line 3: A is 'much', not a number"),
        (HEAD + "a,train,1,3,6,x\n", None, "line 2: D is '6', not a number from 1 to 5"),
        (HEAD + "a,train,nan,3,5,x\n", None, "line 2: V is 'nan'"),
        (HEAD + "a,train,1\n", None, "line 2: A is None"),
    ],
)
def test_another_form_of_emobank_is_refused_by_its_place(
    folder: Path, text: str, split: str | None, message: str
) -> None:
    with pytest.raises(UnknownForm, match=message):
        datasets.emobank(written(folder, text), split)


def test_goemotions_is_read_line_by_line(folder: Path) -> None:
    path = written(folder, 'So "good\t0,27\tid1\nOh \u2028 no\t25\n\t2\tid3\n')
    assert datasets.goemotions(path) == [
        Named('So "good', frozenset({"admiration", "neutral"})),
        Named("Oh \u2028 no", frozenset({"sadness"})),
        Named("", frozenset({"anger"})),
    ]


def test_files_as_windows_writes_them_are_read(folder: Path) -> None:
    path = written(folder, "\ufefftext,V,A,D\r\nWell,3,3,3\r\n")
    assert datasets.emobank(path) == [Rated("Well", (0, 0, 0))]
    path = written(folder, "\ufeffWell\t27\tid1\r\n\r\nNo\t2\tid2\r\n\r\n")
    assert [row.text for row in datasets.goemotions(path)] == ["Well", "No"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good\t1\n" + "alone\n", "line 2: there is no second column"),
        ("good\t28\tid\n", "line 1: the second column is '28', not numbers from 0 to 27"),
        ("good\tjoy\tid\n", "line 1: the second column is 'joy'"),
        ("good\t\tid\n", "line 1: the second column is ''"),
        ("good\t1,\n", "line 1: the second column is '1,'"),
        ("", "there are no lines"),
    ],
)
def test_another_form_of_goemotions_is_refused_by_its_place(
    folder: Path, text: str, message: str
) -> None:
    with pytest.raises(UnknownForm, match=message):
        datasets.goemotions(written(folder, text))
