"""Load a BERT into GluonNLP's own model on MXNet and keep its hidden states: `gluon_bert.py JOB.json`.

The job has the checkpoint (`path`), its `size`, the inputs (an .npz with ids, types and lengths) and the file for the
outputs (`out`). Loading is strict: no parameter may be missing or left over.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run(job: dict[str, Any], inputs: dict[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """Outputs of the embeddings, each layer and the pooler, by dtype and name."""
    from gluon_models import Size, bert, mx, settle_bert  # noqa: PLC0415 - found by the path that is set below

    net = bert(Size(*job["size"]), heads=False)
    settle_bert(net)
    net.cast(dtype)
    net.load_parameters(job["path"], cast_dtype=True)
    found: dict[str, np.ndarray] = {}
    blocks = {"embeddings": net.encoder.layer_norm}
    blocks |= {f"layer{number}": cell for number, cell in enumerate(net.encoder.transformer_cells)}
    for name, block in blocks.items():

        def keep(_block: object, _inputs: object, output: Any, name: str = name) -> None:  # noqa: ANN401 - MXNet's own
            found[name] = (output[0] if isinstance(output, (tuple, list)) else output).asnumpy()

        block.register_forward_hook(keep)
    ids, types, lengths = (mx.nd.array(inputs[name]) for name in ("ids", "types", "lengths"))
    _, pooled = net(ids, types, lengths.astype(dtype))
    return {f"{dtype}/{name}": array for name, array in {**found, "pooled": pooled.asnumpy()}.items()}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    with np.load(job["inputs"]) as stored:
        arrays = dict(stored)
    np.savez(job["out"], **run(job, arrays, "float32"), **run(job, arrays, "float64"))
