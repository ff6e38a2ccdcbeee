"""Convert in the usual way, to compare with: MXNet loads the file, torch holds it, transformers saves the model.

    python benchmarks/route_mxnet_torch.py SOURCE.params OUT

Names and config come from the plan of bort_convert, which reads headers only and takes next to no time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

np.bool = bool  # type: ignore[attr-defined] # mxnet 1.9.1 asks for it
import bort_convert  # noqa: E402
import mxnet as mx  # noqa: E402 - numpy first
import torch  # noqa: E402
import transformers  # noqa: E402


def main() -> None:
    """Convert the file that the command line names."""
    source, target = map(Path, sys.argv[1:])
    fit = bort_convert.inspect(source).fit
    if fit is None:
        sys.exit(f"{source}: no family fits it")
    arrays = mx.nd.load(str(source))
    state = {
        step.targets[0].name: torch.from_numpy(arrays[fit.names[step.sources[0]]].asnumpy())
        for step in fit.plan.steps
        if step.sources
    }
    target_class = getattr(transformers, fit.architecture)
    model = target_class(target_class.config_class(**fit.config))
    model.load_state_dict(state, strict=False)
    model.save_pretrained(str(target))


if __name__ == "__main__":
    main()
