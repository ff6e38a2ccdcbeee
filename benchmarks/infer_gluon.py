"""Run the original Bort with GluonNLP on MXNet, hybridized, when `inference.py` asks for it.

    python benchmarks/infer_gluon.py SOURCE.params

Each line on stdin is a batch and a length; the answer is a line of JSON with the seconds of a pass.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from measure import timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures"))
import gluon_models
import mxnet as mx
from make_full_size import checkpoints


def forward(net: gluon_models.BortModel, ids: mx.nd.NDArray, lengths: mx.nd.NDArray) -> None:
    """Run one forward pass to its end: MXNet returns before it has computed."""
    net(ids, lengths).wait_to_read()


def main() -> None:
    """Load the checkpoint, and answer until stdin ends."""
    size = checkpoints()["bort_4_8_768_1024"].size
    net = gluon_models.BortModel(size, decoder=False)
    gluon_models.settle(net)
    net.load_parameters(sys.argv[1], ignore_extra=True)  # the head, which is not run
    net.collect_params().setattr("grad_req", "null")
    net.hybridize(static_alloc=True, static_shape=True)
    for line in sys.stdin:
        batch, length = map(int, line.split())
        ids = mx.nd.array(np.random.default_rng(length).integers(5, size.vocab_size, (batch, length)), dtype="int32")
        lengths = mx.nd.full((batch,), length)
        mx.nd.waitall()
        found = timed(partial(forward, net, ids, lengths))
        first = net(ids, lengths).asnumpy()[0, 0].astype(np.float64)
        answer = {"gluon": found, "sum": float(first @ np.arange(len(first)))}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
