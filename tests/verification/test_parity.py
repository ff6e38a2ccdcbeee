"""Parity with the reference: with recorded outputs, which need no MXNet, and with GluonNLP on MXNet itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_manifest
from bort_convert.verification import Report, load_trace, verify

pytestmark = pytest.mark.torch

FIXTURES = Path(__file__).parents[2] / "fixtures"
TRACES = sorted((FIXTURES / "traces").glob("*.safetensors"))
OLD_TRACES = sorted((FIXTURES / "traces" / "version_1").glob("*.safetensors"))
"""Recorded by bort_convert 0.1."""
CHECKPOINTS = sorted(
    path
    for family in ("bert", "bort", "distilbert", "ernie", "gpt2", "roberta", "xlnet")
    for path in FIXTURES.glob(f"{family}_[0-9]*.params")
)
HIDDEN, EXACT = 3e-5, 1e-12


def assert_parity(report: Report) -> None:
    assert report, report.headline
    for run in report.runs:
        for layer in run.layers:
            limit = (
                EXACT
                if run.dtype == "float64"
                else HIDDEN
                if layer.name.startswith(("emb", "layer", "final_norm", "pooled"))
                else 1e-4
            )
            assert layer.count > 0
            assert layer.max_abs <= limit, (run.dtype, layer.name)


@pytest.mark.parametrize("trace", [*TRACES, *OLD_TRACES], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_converted_fixture_computes_the_recorded_outputs(trace: Path, tmp_path: Path) -> None:
    heads = load_trace(trace).attention_heads
    convert(FIXTURES / f"{trace.stem}.params", tmp_path / "out", family=trace.stem.partition("_")[0], heads=heads)
    assert_parity(verify(trace, tmp_path / "out"))


@pytest.mark.parametrize("old", OLD_TRACES, ids=lambda path: path.stem)
def test_a_trace_of_version_1_is_read_as_the_same_trace(old: Path) -> None:
    one, other = load_trace(old), load_trace(FIXTURES / "traces" / old.name)
    assert one.provenance == other.provenance
    for before, after in zip((one.inputs, *one.outputs.values()), (other.inputs, *other.outputs.values()), strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_recorded_reference_needs_no_mxnet(tmp_path: Path) -> None:
    trace = FIXTURES / "traces" / "bort_2_3_24_24.safetensors"
    convert(FIXTURES / "bort_2_3_24_24.params", tmp_path / "out", family="bort", heads=3)
    program = (
        "import sys; sys.modules['mxnet'] = None; sys.modules['gluonnlp'] = None; import bort_convert;"
        f"sys.exit(not bort_convert.verify({str(trace)!r}, {str(tmp_path / 'out')!r}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.mxnet
@pytest.mark.parametrize("source", CHECKPOINTS, ids=lambda path: path.stem)
def test_every_fixture_agrees_with_live_gluonnlp(source: Path, tmp_path: Path) -> None:
    family, _, heads, *_ = source.stem.split("_")
    convert(source, tmp_path / "out", family=family, heads=int(heads))
    assert_parity(verify(source, tmp_path / "out"))


def test_a_wrong_head_is_seen_by_the_recorded_reference(tmp_path: Path) -> None:
    convert(FIXTURES / "bort_2_3_24_24.params", tmp_path / "out", family="bort", heads=4)
    report = verify(FIXTURES / "traces" / "bort_2_3_24_24.safetensors", tmp_path / "out")
    assert not report
    assert report.headline.startswith("FAIL names and shapes: config.json: num_attention_heads is 4, expected 3")


@pytest.mark.parametrize("name", ["bert-sharded", "bort-lm-tokenizer", "distilbert", "ernie-lm", "xlnet"])
def test_a_directory_that_0_1_converted_passes_against_a_trace(name: str) -> None:
    folder = FIXTURES / "converted_by_0.1" / name
    report = verify(FIXTURES / "traces" / f"{Path(read_manifest(folder).source.name).stem}.safetensors", folder)
    assert report, report.headline
