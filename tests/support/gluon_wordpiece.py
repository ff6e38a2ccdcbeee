"""GluonNLP's BERT tokenizer, in a process of its own.

It reads JSON lines and answers each with one. {"tokens": [...], "target": PATH} has a `BERTVocab` of these tokens
written as JSON. All else names such a file as `vocab`, and whether text is lower-cased as `lower`: {"text": ...} gives
the ids of a text's pieces, {"words": ...} its words before they are cut into pieces, {"texts": [...], "length": N} the
ids and the type ids of one text or a pair, cut to N, as `BERTSentenceTransform` gives them.
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
    """GluonNLP's own."""
    return nlp.data.BERTTokenizer(nlp.vocab.BERTVocab.from_json(Path(vocab).read_text("utf-8")), lower=lower)


def answer(question: dict[str, Any]) -> object:
    """What GluonNLP says."""
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
