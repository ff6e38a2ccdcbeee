"""Load checkpoints into GluonNLP's own models on MXNet and keep their outputs: `gluon_loading.py JOBS.json`.

JOBS.json holds a list of jobs: the checkpoint (`path`), its `size`, `kind` ("decoder", "encoder", "gpt2" or a number of
labels) and `names` ("structural" or "prefix"), and the file for the outputs (`out`). Loading is strict: no parameter
may be missing or left over.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = [24, 9, 1]


def inputs_of(vocab: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids (batch, length), valid lengths (batch,), and masked positions (batch, masked)."""
    ids = np.random.default_rng(5).integers(0, vocab, (len(LENGTHS), max(LENGTHS))).astype("int32")
    return ids, np.array(LENGTHS, "int32"), np.zeros((len(LENGTHS), 1), "int32")


def run(job: dict[str, Any]) -> None:
    """Build the model in a new scope, with the names of a new process; load the checkpoint and run it."""
    from gluon_models import BortClassifier, BortModel, Size, gpt2, mx, outputs_of  # noqa: PLC0415

    size, kind = Size(*job["size"]), job["kind"]
    ids, lengths, masked = inputs_of(size.vocab_size)
    with mx.name.NameManager():
        classifier = None if isinstance(kind, str) else BortClassifier(size, labels=kind, dropout=job["dropout"])
        other = gpt2(size) if kind == "gpt2" else None
        net = other.block if other else classifier or BortModel(size, decoder=kind == "decoder")
    if job["names"] == "prefix":
        net.collect_params().load(job["path"], ctx=mx.cpu())
    else:
        net.load_parameters(job["path"], cast_dtype=True)
    if other:
        all_positions = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
        found = {
            "lm_logits": other.forward({"input_ids": ids, "masked_positions": all_positions}, "float32")[
                "lm_logits"
            ].asnumpy()
        }
    elif kind == "decoder":
        found = outputs_of(net, ids, lengths, masked)
    else:
        found = {"output": net(mx.nd.array(ids), mx.nd.array(lengths)).asnumpy()}
    np.savez(job["out"], **found)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))
    for job in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        run(job)
