"""Deliberate conversion errors, and the checks of the verifier that catch each, with the margin over the limit.

    python tests/support/mutants.py

prints the table. It needs mxnet, gluonnlp, torch and transformers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import errors_gluonnlp1
import numpy as np
from conversion_errors import ERRORS, HEADS, SOURCE, Mutant
from converted_dir import Converted
from form_errors import FORM_ERRORS, FORM_HEADS

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_model_dir
from bort_convert.params import open_params, save_params
from bort_convert.verification import static_checks
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.findings import BEHAVIOUR, BITS, NAMES_AND_SHAPES
from bort_convert.verification.headline import excess
from bort_convert.verification.inputs import inputs_for
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_checkpoint, run_reference
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.verification.trace import Trace

GLUONNLP1 = Path(__file__).parents[2] / ".venv-gluonnlp1" / "bin" / "python"
MARGIN = 5.0
"""A caught error must exceed the limit by this factor."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of the checks on a mutant.

    Attributes:
        caught_by: names of the checks that failed.
        margin: the largest float64 difference, in units of its limit.
        details: of each check that failed.
    """

    caught_by: frozenset[str]
    margin: float
    details: dict[str, str]


class Bench:
    """A converted fixture and the outputs of its reference, to try mutants on.

    Args:
        folder: for the files.
        source: the fixture.
        scale: factor of every matrix; large ones amplify rounding, and limits follow.
        options: of the conversion; by default those that the name of the fixture tells.
        python: interpreter of the reference; None for this one.
        trace: recorded outputs; None to run the reference.
    """

    def __init__(
        self,
        folder: Path,
        source: Path = SOURCE,
        scale: float = 1.0,
        *,
        options: Mapping[str, Any] | None = None,
        python: str | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.folder, self.clean = folder, folder / "clean"
        if options is None:
            options = {"family": source.name.partition("_")[0], "heads": {**HEADS, **FORM_HEADS}[source]}
        checkpoint = source if scale == 1.0 else scaled(source, folder / source.name, scale)
        convert(checkpoint, self.clean, **options)
        fit = fit_checkpoint(checkpoint, **options)
        self.reference = LiveReference(checkpoint, fit, ReferenceOptions(mxnet_python=python))
        self.trace = self.run(0) if trace is None else trace

    def run(self, *seeds: int) -> Trace:
        """Outputs of the reference on the default inputs of each seed, one batch after the other."""
        batches = [inputs_for(self.reference.fit, seed=seed) for seed in seeds]
        inputs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        return run_reference(self.reference, inputs)

    def try_out(self, mutant: Mutant) -> Outcome:
        """Run the three checks on a copy with this error."""
        shutil.copytree(self.clean, self.folder / "mutant", dirs_exist_ok=True)
        converted = Converted(self.folder / "mutant")
        mutant.mutate(converted)
        converted.write()
        return self.check(converted.folder, self.trace)

    def check(self, target: Path, trace: Trace) -> Outcome:
        """Run the three checks on a directory."""
        directory = read_model_dir(target)
        behaviour = check_behaviour(trace, directory, ("float64",), limits=Limits())
        checks = (
            static_checks.names_and_shapes(directory, trace.provenance),
            static_checks.bits(directory, self.reference.path, self.reference.fit),
            behaviour.check,
        )
        margin = max((excess(layer) for run in behaviour.runs for layer in run.layers), default=float("inf"))
        failed = {check.name: check.detail for check in checks if not check.passed}
        return Outcome(frozenset(failed), margin, failed)


def bench_of_gluonnlp1(folder: Path, name: str, python: str) -> Bench:
    """A bench for a checkpoint of GluonNLP 1.0, which runs live or has a trace.

    Args:
        folder: for the files.
        name: of the checkpoint.
        python: interpreter that has models of GluonNLP 1.0.
    """
    source, options = errors_gluonnlp1.FOLDER / f"{name}.params", errors_gluonnlp1.options_of(name)
    recorded = source.with_suffix(".trace.safetensors")
    trace = load_trace(recorded) if name in errors_gluonnlp1.RECORDED else None
    return Bench(folder, source, options=options, python=python, trace=trace)


def scaled(source: Path, target: Path, factor: float) -> Path:
    """Write a checkpoint with every matrix multiplied."""
    with open_params(source) as params:
        values = {name: array * np.float32(factor if array.ndim > 1 else 1) for name, array in params.items()}
    save_params(target, values)
    return target


def main() -> None:
    rows = []
    for source, errors in {**ERRORS, **FORM_ERRORS}.items():
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), source)
            rows += [(mutant, bench.try_out(mutant)) for mutant in errors()]
    for name in errors_gluonnlp1.ERRORS:
        with tempfile.TemporaryDirectory() as folder:
            bench = bench_of_gluonnlp1(Path(folder), name, str(GLUONNLP1))
            rows += [(mutant, bench.try_out(mutant)) for mutant in errors_gluonnlp1.errors_of(name)]
    width = max(len(mutant.name) for mutant, _ in rows)
    sys.stdout.write(f"{'mutant':<{width}}  float64 effect / limit  caught by\n")
    for mutant, outcome in rows:
        caught = (
            ", ".join(name for name in (NAMES_AND_SHAPES, BITS, BEHAVIOUR) if name in outcome.caught_by) or "NOTHING"
        )
        sys.stdout.write(f"{mutant.name:<{width}}  {outcome.margin:22.2g}  {caught}\n")
    survived = sum(not outcome.caught_by for _, outcome in rows)
    sys.stdout.write(f"{len(rows)} mutants, {survived} not caught\n")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()
