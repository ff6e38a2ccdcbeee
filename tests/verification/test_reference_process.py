"""One process with MXNet for many runs: it gives what a process of its own gives, and a crash costs one run."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.errors import BackendError
from bort_convert.params import open_params, save_params
from bort_convert.verification.inputs import inputs_for
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_checkpoint, run_reference
from bort_convert.verification.reference_process import ReferenceProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parents[2] / "fixtures"
CHECKPOINTS = {"bert_2_2_8_8": "bert", "xlnet_2_2_8_8": "xlnet"}
# Stands in for an interpreter: a job is the name of what becomes of it; every job leaves a line with its process.
STAND_IN = """#!{python}
import os, sys, time
for line in sys.stdin:
    job = os.path.basename(line.strip())
    with open({log!r}, "a") as log:
        print(os.getpid(), job, file=log)
    print("progress: did", job, file=sys.stderr, flush=True)
    if job == "crash":
        os.abort()
    if job == "hang":
        time.sleep(60)
    sys.stderr.write("half a line of a library")
    print("\\nanswer:", 4 if job == "refuse" else 0, file=sys.stderr, flush=True)
"""


class Side:
    """A stand-in for MXNet's side, and what it did."""

    def __init__(self, folder: Path) -> None:
        self.python, self.log = folder / "python", folder / "log"
        self.python.write_text(STAND_IN.format(python=sys.executable, log=str(self.log)))
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)
        self.progress: list[str] = []

    def run(self, process: ReferenceProcess, job: str, gluonnlp: str | None = None, timeout: float = 20) -> None:
        options = {"gluonnlp": gluonnlp, "timeout": timeout}
        process.run(str(self.python), Path(job), **options, progress=self.progress.append)

    @property
    def processes(self) -> list[int]:
        """Process of each job."""
        return [int(line.split()[0]) for line in self.log.read_text().splitlines()]


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path)


@pytest.fixture
def process() -> Iterator[ReferenceProcess]:
    with ReferenceProcess() as process:
        yield process


def test_a_process_takes_job_after_job_and_ends_with_the_block(side: Side) -> None:
    with ReferenceProcess() as process:
        for job in ("a", "b", "c"):
            side.run(process, job)
        assert side.progress == ["did a", "did b", "did c"]
    assert len(set(side.processes)) == 1
    assert not Path(f"/proc/{side.processes[0]}").exists()


def test_a_job_that_is_refused_costs_no_process(side: Side, process: ReferenceProcess) -> None:
    side.run(process, "a")
    with pytest.raises(BackendError, match="cannot be run: half a line of a library"):
        side.run(process, "refuse")
    side.run(process, "b")
    assert len(set(side.processes)) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_crash_costs_the_job_and_the_next_one_gets_a_new_process(side: Side, process: ReferenceProcess) -> None:
    side.run(process, "a")
    with pytest.raises(BackendError, match=r"^MXNet died of SIGABRT; the last lines of its stderr:\n  did crash$"):
        side.run(process, "crash")
    side.run(process, "b")
    first, crashed, last = side.processes
    assert first == crashed != last


def test_a_job_that_takes_too_long_is_killed_with_its_process(
    side: Side, process: ReferenceProcess, said: list[str]
) -> None:
    side.progress = said
    with pytest.raises(
        BackendError, match=r"^MXNet was stopped after 0.5 s; the last lines of its stderr:\n  did hang$"
    ):
        side.run(process, "hang", timeout=0.5)
    assert not Path(f"/proc/{side.processes[0]}").exists()
    side.run(process, "b")
    assert len(set(side.processes)) == 2


def test_another_gluonnlp_gets_a_process_of_its_own(side: Side, process: ReferenceProcess) -> None:
    for gluonnlp in (None, "0.9", "0.9", None):
        side.run(process, "a", gluonnlp)
    first, second, third, fourth = side.processes
    assert first != second == third
    assert fourth not in {first, second}


@pytest.mark.mxnet
def test_one_process_gives_what_a_process_for_each_run_gives(tmp_path: Path, process: ReferenceProcess) -> None:
    lines: list[str] = []
    for name, family in CHECKPOINTS.items():
        path = FIXTURES / f"{name}.params"
        fit = fit_checkpoint(path, family=family, heads=int(name.split("_")[2]))
        inputs, alone = inputs_for(fit), LiveReference(path, fit, ReferenceOptions())
        kept = replace(alone, options=ReferenceOptions(process=process), progress=lines.append)
        broken = replace(kept, path=without_last(path, tmp_path / f"{name}.params"))
        with pytest.raises(BackendError, match="the live reference cannot be run: "):
            run_reference(broken, inputs)
        one, other = run_reference(alone, inputs), run_reference(kept, inputs)
        assert one.provenance == other.provenance
        for dtype, outputs in one.outputs.items():
            assert list(outputs) == list(other.outputs[dtype])
            assert all(np.array_equal(array, other.outputs[dtype][key]) for key, array in outputs.items())
    assert len([line for line in lines if line.startswith("mxnet ")]) == 2 * len(CHECKPOINTS)


def without_last(path: Path, copy: Path) -> Path:
    with open_params(path) as params:
        values = dict(params)
    values["another"] = values.pop(list(values)[-1])
    save_params(copy, values)
    return copy
