"""Run GluonNLP's SentencePiece tokenizer in a process of its own: `python gluon_sentencepiece.py MODEL`.

The program answers each line of JSON with one. Questions but the first kind say by `lower` whether text is lower-cased.

| question | answer |
|---|---|
| {"lines": [...], ...} | pieces of the model, after it is trained on these lines; other keys are for the trainer |
| {"each": [...]} | ids of each text |
| {"texts": [...], "length": N} | ids and type ids of one text or a pair, cut to N, by `BERTSentenceTransform` |
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import gluonnlp as nlp  # noqa: E402
import sentencepiece  # noqa: E402

(MODEL,) = sys.argv[1:]


def encode(processor: Any, text: str, best: int, _alpha: float) -> list[str]:  # noqa: ANN401 - it has no types
    """Do what `SampleEncodeAsPieces` did without sampling before sentencepiece 0.1.96, which refuses to."""
    assert best == 0
    return processor.EncodeAsPieces(text)  # type: ignore[no-any-return]


sentencepiece.SentencePieceProcessor.SampleEncodeAsPieces = encode


@lru_cache
def tokenizer_of(*, lower: bool) -> Any:  # noqa: ANN401 - gluonnlp has no types
    """Make GluonNLP's own tokenizer, with the vocabulary that gluonnlp 0.9 makes for KoBERT."""
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(MODEL, padding_token="[PAD]")  # noqa: S106
    return nlp.data.BERTSPTokenizer(MODEL, vocab, lower=lower)


def answer(question: dict[str, Any]) -> object:
    """Answer a question by GluonNLP."""
    if "lines" in question:
        lines = iter(question.pop("lines"))
        with open(MODEL, "wb") as model:  # noqa: PTH123
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **question)
        tokenizer_of.cache_clear()
        return tokenizer_of(lower=False).vocab.idx_to_token
    tokenizer = tokenizer_of(lower=question["lower"])
    if "each" in question:
        return [tokenizer.convert_tokens_to_ids(tokenizer(text)) for text in question["each"]]
    texts, length = question["texts"], question["length"]
    ids, _, types = nlp.data.BERTSentenceTransform(tokenizer, length, pad=False, pair=len(texts) > 1)(texts)
    return [ids.tolist(), types.tolist()]


print(json.dumps(nlp.__version__), flush=True)  # noqa: T201
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201
