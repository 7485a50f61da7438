"""Prompts to token ids, with the `tokenizers` library alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from likeness_engines.errors import PackError


class Prompts:
    """A pack's tokenizer, padding and cutting as its text encoder was trained."""

    def __init__(self, folder: Path, length: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = msgspec.json.decode((folder / "tokenizer_config.json").read_bytes())
        except Exception as error:  # tokenizers raises plain Exception
            raise PackError(f"The tokenizer in {folder} cannot be read: {error}. Copy the whole pack again.") from error
        pad = config["pad_token"]
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(length=length, pad_token=pad, pad_id=self._tokenizer.token_to_id(pad))

    def tokens(self, prompts: list[str]) -> NDArray[np.int64]:
        """Token ids, int64 [N, length]."""
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(prompts)], np.int64)

    def count(self, text: str) -> int:
        """How many tokens a text has, without the two that begin and end a prompt."""
        return len([token for token in self._tokenizer.encode(text).attention_mask if token]) - 2
