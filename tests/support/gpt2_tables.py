"""Write GPT-2 vocabularies as GluonNLP does, from a few merges or from OpenAI's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bort_convert.tokenizer.gpt2 import BYTE_CHARACTERS

if TYPE_CHECKING:
    from pathlib import Path

END = "<|endoftext|>"


def vocabulary_text(ids: dict[str, int]) -> str:
    """The JSON that gluonnlp 0.6 wrote for `openai_webtext`, the published file's."""
    roles = dict.fromkeys(("reserved_tokens", "unknown_token", "padding_token", "bos_token"))
    return json.dumps(
        {"idx_to_token": sorted(ids, key=ids.__getitem__), "token_to_idx": ids, **roles, "eos_token": END}
    )


def small_vocabulary(ranks: Path) -> str:
    """The JSON of a vocabulary of the 256 byte characters, the results of the merges, and the end of a text."""
    merges = ranks.read_text("utf-8").splitlines()[1:]
    tokens = [*BYTE_CHARACTERS, *(merge.replace(" ", "") for merge in merges), END]
    return vocabulary_text({token: number for number, token in enumerate(tokens)})
