"""Run the converted Bort and two random BERTs in torch when `inference.py` asks for it.

    python benchmarks/infer_torch.py CONVERTED

Each line on stdin is a batch, a length and the modes to run; the answer is a line of JSON with the seconds of one
forward pass by mode. Modes are eager, compiled, bfloat16, bert-base and bert-large.
"""

from __future__ import annotations

import copy
import json
import sys
from functools import cache, partial
from typing import Any

import bort_convert
import numpy as np
import torch
import transformers

from measure import timed

VOCAB = 50265
BERTS: dict[str, dict[str, Any]] = {
    "bert-base": {},
    "bert-large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


@cache
def model_of(mode: str) -> Any:  # noqa: ANN401 - transformers has no types
    """Make the model of a mode: encoder and embeddings, without a head."""
    if mode in BERTS:
        random: Any = transformers.BertModel(transformers.BertConfig(**BERTS[mode]), add_pooling_layer=False)
        return random.eval()
    if mode == "eager":
        return bort_convert.load_pretrained(sys.argv[1]).base_model
    if mode == "bfloat16":
        return copy.deepcopy(model_of("eager")).to(torch.bfloat16)
    return torch.compile(model_of("eager"), dynamic=False)


def answer(batch: int, length: int, modes: list[str]) -> dict[str, Any]:
    """Time a forward pass in each mode, and compute a number by which two models can be compared."""
    ids = np.random.default_rng(length).integers(5, VOCAB, (batch, length))
    whole = torch.from_numpy(ids)
    few = whole % transformers.BertConfig().vocab_size  # BERT has a smaller vocabulary
    mask = torch.ones_like(whole)
    found: dict[str, Any] = {}
    for mode in modes:
        model, inputs = model_of(mode), few if mode in BERTS else whole
        found[mode] = timed(partial(model, inputs, attention_mask=mask))
    if "eager" in modes:
        first = model_of("eager")(whole, attention_mask=mask)[0][0, 0].double()
        found["sum"] = float(first @ torch.arange(len(first), dtype=torch.float64))
    return found


def main() -> None:
    """Answer until stdin ends."""
    torch.set_num_threads(2)
    torch._dynamo.config.recompile_limit = 64  # noqa: SLF001 - each setting is compiled by itself
    with torch.inference_mode():
        for line in sys.stdin:
            batch, length, *modes = line.split()
            sys.stdout.write(json.dumps(answer(int(batch), int(length), modes)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
