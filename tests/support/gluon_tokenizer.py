"""Run GluonNLP's byte-level BPE in a process of its own: `python gluon_tokenizer.py VOCABULARY RANKS`.

The program answers each line of JSON with one. Its first line names the files that GluonNLP downloads and their SHA-1.

| question | answer |
|---|---|
| {"text": ...} | ids of the text's tokens, or the name of the error |
| {"words": ...} | words of the text before the merges |
| {"ids": [...]} | text of these ids |
| {"homes": [...]} | for each value of MXNET_HOME, the directory where GluonNLP keeps its files |
| {"eos": ..., "target": PATH} | a `Vocab` of the same tokens, with this one special token, is written to PATH as JSON |
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import gluonnlp as nlp  # noqa: E402
from gluonnlp.base import get_home_dir  # noqa: E402
from gluonnlp.data.utils import _vocab_sha1  # noqa: E402

VOCABULARY, RANKS = map(Path, sys.argv[1:])


class Tokenizer(nlp.data.GPT2BPETokenizer):
    """GluonNLP's own, with the ranks of the command line in place of those that it downloads."""

    bpe_ranks_file_hash = (RANKS.name, hashlib.sha1(RANKS.read_bytes(), usedforsecurity=False).hexdigest())


def answer(question: dict[str, Any]) -> object:
    """Answer a question by GluonNLP."""
    if "homes" in question:
        directories = []
        for home in question["homes"]:
            os.environ.pop("MXNET_HOME", None)
            os.environ.update({} if home is None else {"MXNET_HOME": home})
            directories.append(get_home_dir())
        return directories
    if "eos" in question:
        tokens, unused_roles = VOCAB.idx_to_token, dict.fromkeys(("unknown_token", "padding_token", "bos_token"))
        ids = {token: number for number, token in enumerate(tokens)}
        vocab = nlp.Vocab(nlp.data.count_tokens(tokens), eos_token=question["eos"], token_to_idx=ids, **unused_roles)
        return Path(question["target"]).write_text(vocab.to_json(), "utf-8")
    if "ids" in question:
        return nlp.data.GPT2BPEDetokenizer()(VOCAB.to_tokens(question["ids"]))
    if "words" in question:
        return TOKENIZER._token_pattern.findall(question["words"])  # noqa: SLF001 - there is no other way to it
    try:
        return VOCAB[TOKENIZER(question["text"])]
    except UnicodeEncodeError as error:
        return type(error).__name__


TOKENIZER = Tokenizer(root=str(RANKS.parent))
VOCAB = nlp.Vocab.from_json(VOCABULARY.read_text("utf-8"))
PUBLISHED = {"ranks": list(nlp.data.GPT2BPETokenizer.bpe_ranks_file_hash), "vocabularies": _vocab_sha1}

print(json.dumps(PUBLISHED), flush=True)  # noqa: T201
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201
