"""The loaded model: from texts to tokens, from tokens to vectors."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.embedding import weights
from app.embedding.build import MINILM, Model, model_file
from app.embedding.weights import TOKENS_MAX

LONG = 20_000
WORD_MAX = 100
"""`max_input_chars_per_word` in `tokenizer.json`: a longer word is one token."""

ERRORS_ALONE = 3


class Session:
    """A model of the data directory `home`. Raises ModelUnfit and OSError.

    Its methods keep cores busy and are safe in any thread.
    """

    def __init__(self, home: Path, model: Model = MINILM) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(model.threads, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ALONE
        # Threads that wait for more work by turning would take the cores of other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._model = onnxruntime.InferenceSession(
            str(model_file(home, model)), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_str(weights.content(weights.TOKENIZER).decode())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with the marks of its start and end."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def first_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The same, but of a text with more than 256 tokens the first 256 and the mark of the end.
        To find them in megabytes of text not all of it is read, which would take seconds."""
        found = self.tokens([text[:LONG] for text in texts])
        # Only the word at the cut can have other tokens than in the whole text.
        unsure = [
            place
            for place, text in enumerate(texts)
            if len(text) > LONG and len(found[place]) <= TOKENS_MAX + WORD_MAX
        ]
        for place, ids in zip(unsure, self.tokens([texts[i] for i in unsure]), strict=True):
            found[place] = ids
        return [ids if len(ids) <= TOKENS_MAX else [*ids[:TOKENS_MAX], ids[-1]] for ids in found]

    def vectors(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """What the model gives for texts of at most 256 tokens each: vectors of length 1, (texts,
        384), or what its head makes of them, (texts, its width)."""
        ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        found: NDArray[np.float32] = self._model.run(None, {"ids": ids, "mask": mask})[0]
        return found
