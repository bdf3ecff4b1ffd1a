"""The program that measures embeddings."""

import subprocess
import sys

from bench.embedding import COMPARED, TEXTS_MAX, sentences
from bench.machine import ROOT
from bench.tables import place


def test_the_pages_give_texts_enough() -> None:
    texts = sentences()
    assert COMPARED <= len(texts) == len(set(texts)) <= TEXTS_MAX


def test_it_runs_as_a_file_and_has_a_place_in_its_page() -> None:
    path = ROOT / "bench" / "embedding.py"
    argv = [sys.executable, str(path), "--help"]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True)
    assert "--write" in done.stdout
    page = (ROOT / "docs" / "embedding.md").read_text()
    assert "<!-- begin figures -->\nhere\n<!--" in place(page, "figures", "here")
