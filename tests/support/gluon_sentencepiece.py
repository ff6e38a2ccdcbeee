"""GluonNLP's tokenizer of SentencePiece models, in a process of its own: `python gluon_sentencepiece.py MODEL`.

It reads JSON lines and answers each with one. {"lines": [...], ...} trains the model on these lines, with the other
keys for sentencepiece's trainer, and gives its pieces. The others name whether text is lower-cased as `lower`:
{"each": [...]} gives the ids of the pieces of each text, {"texts": [...], "length": N} the ids and the type ids of one
text or a pair, cut to N, as `BERTSentenceTransform` gives them.
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
    """What `SampleEncodeAsPieces` gave before sentencepiece 0.1.96, where nothing is sampled: it refuses that since."""
    assert best == 0
    return processor.EncodeAsPieces(text)  # type: ignore[no-any-return]


sentencepiece.SentencePieceProcessor.SampleEncodeAsPieces = encode


@lru_cache
def tokenizer_of(*, lower: bool) -> Any:  # noqa: ANN401 - gluonnlp has no types
    """GluonNLP's own, with the vocabulary as gluonnlp 0.9 makes it for KoBERT."""
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(MODEL, padding_token="[PAD]")  # noqa: S106
    return nlp.data.BERTSPTokenizer(MODEL, vocab, lower=lower)


def answer(question: dict[str, Any]) -> object:
    """What GluonNLP says."""
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
