"""Run GluonNLP's SentencePiece tokenizers of whole texts in a process of its own: `python gluon_texts.py MODEL KIND`.

KIND is one of the jobs of `mxnet_process/tokenizers.py`. The program answers each line of JSON with one.

| question | answer |
|---|---|
| {"each": [...]} | ids of each text |
| {"ids": [...]} | text of these ids, by `SentencepieceDetokenizer` |
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
import gluonnlp as nlp  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "bort_convert" / "verification" / "mxnet_process"))
import tokenizers as originals  # noqa: E402 - the module there, not the package

MODEL, KIND = sys.argv[1:]
ENCODE = originals.encoder_of({"kind": KIND, "vocab": MODEL, "bpe_ranks": None, "lower": False})
DETOKENIZER = nlp.data.SentencepieceDetokenizer(MODEL)
TOKENS = DETOKENIZER.tokens


def answer(question: dict[str, Any]) -> object:
    """Answer a question by GluonNLP."""
    if "each" in question:
        return [[int(number) for number in ENCODE(text)] for text in question["each"]]
    return DETOKENIZER([TOKENS[number] for number in question["ids"]])


print(json.dumps(nlp.__version__), flush=True)  # noqa: T201
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201
