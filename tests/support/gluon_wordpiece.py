"""Run GluonNLP's BERT tokenizer in a process of its own.

The program answers each line of JSON with one. Questions but the first kind also name such a file as `vocab`, and say
by `lower` whether text is lower-cased.

| question | answer |
|---|---|
| {"tokens": [...], "target": PATH} | a `BERTVocab` of these tokens is written to PATH as JSON |
| {"text": ...} | ids of the text's tokens |
| {"words": ...} | words of the text before they are cut into tokens |
| {"texts": [...], "length": N} | ids and type ids of one text or a pair, cut to N, by `BERTSentenceTransform` |
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import gluonnlp as nlp  # noqa: E402


@lru_cache
def tokenizer_of(vocab: str, *, lower: bool) -> Any:  # noqa: ANN401 - gluonnlp has no types
    """Make GluonNLP's own tokenizer."""
    return nlp.data.BERTTokenizer(nlp.vocab.BERTVocab.from_json(Path(vocab).read_text("utf-8")), lower=lower)


def answer(question: dict[str, Any]) -> object:
    """Answer a question by GluonNLP."""
    if "tokens" in question:
        ids = {token: number for number, token in enumerate(question["tokens"])}
        vocab = nlp.vocab.BERTVocab(nlp.data.count_tokens(question["tokens"]), token_to_idx=ids)
        return Path(question["target"]).write_text(vocab.to_json(), "utf-8")
    tokenizer = tokenizer_of(question["vocab"], lower=question["lower"])
    if "words" in question:
        return tokenizer.basic_tokenizer(question["words"])
    if "text" in question:
        return tokenizer.convert_tokens_to_ids(tokenizer(question["text"]))
    texts, length = question["texts"], question["length"]
    transform = nlp.data.BERTSentenceTransform(tokenizer, length, pad=False, pair=len(texts) > 1)
    ids, _, types = transform(texts)
    return [ids.tolist(), types.tolist()]


print(json.dumps(nlp.__version__), flush=True)  # noqa: T201
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201
