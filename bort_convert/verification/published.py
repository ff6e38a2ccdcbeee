"""Check a conversion of the released `bort.params` against its one published output."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import ParityError
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.verification.compare import Limit, Run, measure, position_text
from bort_convert.verification.findings import CheckResult, peak_mb
from bort_convert.verification.provenance import call_text, digests_of_files
from bort_convert.verification.report import Report

if TYPE_CHECKING:
    import os

    from bort_convert.verification.compare import Difference

PUBLISHED: Final = "published output"
SOURCE: Final = "bort.params, last hidden state published with transformers 4.30"
INPUT_IDS: Final = (0, 18077, 4082, 7804, 8606, 6195, 2457, 3321, 11, 10489, 16, 269, 2579, 328, 2)
"""`<s>Schloß Nymphenburg in Munich is really nice!</s>`, without a mask."""
EXPECTED: Final = (
    (-0.0349, 0.0436, -1.8654),
    (-0.6964, 0.0835, -1.7393),
    (-0.9819, 0.2956, -0.2868),
)
"""last_hidden_state[0, :3, :3], four decimals.

Source: huggingface/transformers 4.30, tests/models/bort/test_modeling_bort.py.
"""
LIMIT: Final = Limit(1e-3, 0.0)
"""The published numbers came from weights in half precision; that rounding alone moves a hidden state by up to 1e-3."""
_SIZES: Final = {
    "vocab_size": 50265,
    "hidden_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "intermediate_size": 768,
    "max_position_embeddings": 512,
}


def verify_published(target: str | os.PathLike[str]) -> Report:
    """Check a conversion of the released `bort.params` against its only published output.

    It compares three tokens and three units, to 1e-3: this shows that the file is the real one, rather than that the
    conversion is exact.

    Args:
        target: the converted directory.

    Returns:
        A report with one check, which every other model fails.

    Raises:
        BackendError: torch or transformers is missing.
        FormatError: the directory cannot be read.

    Examples:
        A small Bort is not the released one:

        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> report = bort_convert.verify_published("out")
        >>> bool(report), report.checks[0].name
        (False, 'published output')
    """
    start = time.perf_counter()
    directory = read_model_dir(target)
    config = directory.config
    wrong = [
        f"config.json: {key} is {config.get(key)!r}, expected {value}: the released Bort has no other sizes"
        for key, value in _SIZES.items()
        if config.get(key) != value
    ]
    runs: tuple[Run, ...] = ()
    check = CheckResult(PUBLISHED, passed=False, detail="\n".join(wrong))
    versions: dict[str, str] = {}
    if not wrong:
        from bort_convert.verification import torch_run  # noqa: PLC0415 - torch is loaded when it is needed

        versions = torch_run.versions()
        try:
            found = _difference(directory)
        except ParityError as error:
            check = replace(check, detail=str(error))
        else:
            runs = (Run("float32", (found,)),)
            check = CheckResult(PUBLISHED, found.passed, _detail(found))
    return Report(
        SOURCE,
        Path(target).name,
        (check,),
        runs,
        versions=versions,
        digests=digests_of_files(directory),
        call=call_text(verify_published, {"target": target}),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


def _difference(directory: ModelDir) -> Difference:
    from bort_convert.verification import torch_run  # noqa: PLC0415 - torch is loaded when it is needed

    ids = np.array([INPUT_IDS], np.int64)
    inputs = {"input_ids": ids, "valid_length": np.array([ids.shape[1]], np.int64)}
    outputs = torch_run.run_target(directory, inputs, "float32")
    last = outputs[f"layer.{_SIZES['num_hidden_layers'] - 1}"]
    expected = np.array([EXPECTED])
    corner = last[: expected.shape[0], : expected.shape[1], : expected.shape[2]]
    found, index = measure("last_hidden_state", "float32", expected, corner, LIMIT)
    return replace(found, where=dict(zip(("batch", "token", "unit"), index, strict=True)))


def _detail(found: Difference) -> str:
    if found.problem:
        return f"last_hidden_state: {found.problem} at {position_text(found.where)}"
    verdict = f"max |d| {found.max_abs:.2g} at {position_text(found.where)}, limit {found.limit:.2g}"
    return f"last_hidden_state: {verdict}, {found.count} values"
