"""The verdict of a verification, from its checks and runs alone."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bort_convert.verification.compare import Difference, Run
from bort_convert.verification.findings import BEHAVIOUR, BITS, CheckResult, Findings, peak_mb


def difference(name: str, max_abs: float, *, dtype: str = "float32", limit: float = 1.0) -> Difference:
    return Difference(name, dtype, count=4, max_abs=max_abs, limit=limit)


SINGLE = Run("float32", (difference("layer.0", 0.5), difference("logits", 0.25)))
DOUBLE = Run(
    "float64",
    (difference("layer.0", 1e-9, dtype="float64", limit=1e-6), difference("logits", 1e-8, dtype="float64", limit=1e-6)),
)
WRONG = Run("float32", (difference("embeddings", 0.5), difference("layer.0", 7.0), difference("layer.1", 9.0)))


def test_nothing_verified_is_a_failure() -> None:
    nothing = Findings("a", "b", ())
    assert not nothing
    assert nothing.headline == "FAIL nothing: nothing was verified"
    assert (nothing.layers, nothing.worst, nothing.first_divergence) == ((), None, None)


def test_the_layers_are_those_of_the_highest_precision_whatever_ran_first() -> None:
    for runs in ((SINGLE, DOUBLE), (DOUBLE, SINGLE)):
        assert Findings("a", "b", (), runs).layers == DOUBLE.layers


def test_the_worst_output_is_the_nearest_to_its_own_limit() -> None:
    assert Findings("a", "b", (), (DOUBLE, SINGLE)).worst == SINGLE.layers[0]
    lacking = Difference("pooled", "float64", problem="the target has no such output")
    assert Findings("a", "b", (), (SINGLE, Run("float64", (lacking,)))).worst == lacking


def test_the_first_divergence_is_that_of_the_highest_precision_with_one() -> None:
    double = Run("float64", (difference("layer.1", 8.0, dtype="float64"),))
    for runs in ((WRONG, double), (double, WRONG)):
        assert Findings("a", "b", (), runs).first_divergence == double.layers[0]
    assert Findings("a", "b", (), (WRONG, DOUBLE)).first_divergence == WRONG.layers[1]


def test_the_headline_of_a_failure_is_the_first_line_of_its_detail() -> None:
    checks = (CheckResult("config", passed=False, detail="a differs\nb differs\nc differs"),)
    assert Findings("a", "b", checks).headline == "FAIL config: a differs"


def test_the_headline_of_a_success_names_every_check() -> None:
    checks = tuple(CheckResult(name, passed=True, detail="") for name in (BITS, BEHAVIOUR))
    assert Findings("a", "b", checks).headline == "PASS b is a: bits, behaviour"


def test_a_failed_run_is_not_the_headline_of_another_check() -> None:
    checks = (CheckResult("config", passed=False, detail="a differs"), CheckResult(BEHAVIOUR, passed=True, detail=""))
    assert Findings("a", "b", checks, (WRONG,)).headline == "FAIL config: a differs"


def test_the_summary_has_the_worst_output_of_each_precision() -> None:
    checks = (CheckResult(BITS, passed=True, detail="all equal"), CheckResult(BEHAVIOUR, passed=True, detail="within"))
    runs = (Run("float16", ()), SINGLE, DOUBLE)
    assert Findings("a", "b", checks, runs, versions={"mxnet": "1.9.1"}).summary == {
        "checks": {BITS: "all equal", BEHAVIOUR: "within"},
        "runs": [
            {"dtype": "float32", "output": "layer 0", "max_abs": 0.5, "limit": 1.0},
            {"dtype": "float64", "output": "logits", "max_abs": 1e-8, "limit": 1e-6},
        ],
        "versions": {"mxnet": "1.9.1"},
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_largest_memory_is_in_millions_of_bytes() -> None:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - no file
        (line,) = (line for line in status if line.startswith("VmHWM:"))
    of_this_process = int(line.split()[1]) * 1024 / 1e6
    assert 0.9 * of_this_process < peak_mb() < 1_000_000  # the two are counted at slightly different times


@pytest.mark.parametrize(("platform", "unit"), [("darwin", 1), ("linux", 1024)])
def test_the_largest_memory_is_counted_in_bytes_on_macos_and_in_kibibytes_elsewhere(
    platform: str, unit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    peaks = {resource.RUSAGE_SELF: 4 * 10**9, resource.RUSAGE_CHILDREN: 5 * 10**9}
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=peaks[who]))
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_mb() == 5000.0 * unit


def test_the_largest_memory_is_0_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_mb() == 0.0
