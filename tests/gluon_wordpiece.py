"""GluonNLP's BERT tokenizer, in a process of its own: `python gluon_wordpiece.py VOCABULARY lower|cased`.

The vocabulary is the JSON of a `BERTVocab`. It reads JSON lines and answers each with one: {"text": ...} gives the ids
of a text's pieces, {"words": ...} the words before they are cut into pieces, {"texts": [...], "length": N} the ids and
the type ids of one text or a pair, cut to N, as `BERTSentenceTransform` gives them.

With `write TOKENS TARGET` it writes such a JSON instead, from a text file with a token a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import gluonnlp as nlp  # noqa: E402


def answer(tokenizer: Any, question: dict[str, Any]) -> object:  # noqa: ANN401 - gluonnlp has no types
    """What GluonNLP says."""
    if "words" in question:
        return tokenizer.basic_tokenizer(question["words"])
    if "text" in question:
        return tokenizer.convert_tokens_to_ids(tokenizer(question["text"]))
    texts, length = question["texts"], question["length"]
    transform = nlp.data.BERTSentenceTransform(tokenizer, length, pad=False, pair=len(texts) > 1)
    ids, _, types = transform(texts)
    return [ids.tolist(), types.tolist()]


def serve(vocabulary: Path, *, lower: bool) -> None:
    """Answer questions until there are none."""
    vocab = nlp.vocab.BERTVocab.from_json(vocabulary.read_text("utf-8"))
    tokenizer = nlp.data.BERTTokenizer(vocab, lower=lower)
    print(json.dumps({"size": len(vocab)}), flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(answer(tokenizer, json.loads(line))), flush=True)  # noqa: T201


def write(tokens: Path, target: Path) -> None:
    """Have GluonNLP write a vocabulary, as its scripts do for a BERT."""
    words = tokens.read_text("utf-8").rstrip("\n").split("\n")
    ids = {word: number for number, word in enumerate(words)}
    target.write_text(nlp.vocab.BERTVocab(nlp.data.count_tokens(words), token_to_idx=ids).to_json(), "utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*map(Path, sys.argv[2:]))
    else:
        serve(Path(sys.argv[1]), lower=sys.argv[2] == "lower")
