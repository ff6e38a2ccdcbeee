"""The targets of the fuzzer survive every seed and thousands of damaged seeds, and fail where there is a fault."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
import run
import targets
from hypothesis import given
from hypothesis import strategies as st
from params_files import GOLDEN
from seeds import LARGEST, seeds

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError
from bort_convert.params import TensorInfo
from bort_convert.verification import trace_file

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.verification.trace import Trace

pytestmark = pytest.mark.long

SEEDS = {target: list(seeds(target).values()) for target in targets.TARGETS}
DAMAGED = {"reader": 3000, "names": 30, "trace": 2000}  # inputs; fitting a header to every family is slow
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def damaged(data: bytes, random: Random) -> bytes:
    """Change, delete or double a few bytes, or cut the end off."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at, length = random.randrange(len(changed) + 1), random.randint(1, 8)
        kind = random.randrange(5)
        if kind == 0:
            changed[at : at + 1] = bytes((random.choice(INTERESTING),))
        elif kind == 1:
            changed[at : at + 1] = bytes((random.randrange(256),))
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        else:
            del changed[max(at, len(changed) - 64) :]
    return bytes(changed)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_target_survives_its_seeds(target: str) -> None:
    assert 0 < max(map(len, SEEDS[target])) <= LARGEST
    for data in SEEDS[target]:
        targets.TARGETS[target](data)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_target_survives_damaged_seeds(target: str) -> None:
    random = Random(target)  # noqa: S311 - the same damage each time
    for _ in range(DAMAGED[target]):
        data = damaged(random.choice(SEEDS[target]), random)
        try:
            targets.TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{target} does not survive bytes.fromhex({data.hex()!r})") from error


@pytest.mark.parametrize("target", targets.TARGETS)
@given(data=st.binary(max_size=300))
def test_a_target_survives_any_bytes(target: str, data: bytes) -> None:
    targets.TARGETS[target](data)


FIELDS = st.tuples(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x1e\x1f"), max_size=30),
    st.sampled_from([None, "float32", "int64", "bfloat16"]),
    st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
)


@given(fields=st.lists(FIELDS, min_size=1, unique_by=lambda field: field[0]))
def test_the_text_of_a_header_reads_back(fields: list[tuple[str, str | None, tuple[int, ...]]]) -> None:
    header = {name: TensorSpec(name, dtype, shape) if dtype else None for name, dtype, shape in fields}
    assert targets.parse_header(targets.header_text(header).decode()) == header


def test_the_seeds_reach_every_storage_head_and_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    fitted: list[str] = []
    loaded: list[Trace] = []
    monkeypatch.setattr(targets, "_read_array", lambda _, info: read.add(info.storage))
    monkeypatch.setattr(targets, "_check_fit", lambda found, _: fitted.append(found.architecture))
    monkeypatch.setattr(targets, "load_trace", lambda path: loaded.append(trace_file.load_trace(path)) or loaded[-1])
    for target in targets.TARGETS:
        for data in SEEDS[target]:
            targets.TARGETS[target](data)
    assert read == {"dense", "row_sparse", "csr", "none"}
    assert {"positions" not in trace.inputs for trace in loaded} == {True, False}
    assert {name for trace in loaded for outputs in trace.outputs.values() for name in outputs} >= {
        *("embeddings", "layer.0", "mlm_logits", "lm_logits", "logits", "pooled", "next_sentence")
    }
    assert set(fitted) > {
        "BertModel",
        "BertForMaskedLM",
        "BertForSequenceClassification",
        "RobertaForMaskedLM",
        "GPT2LMHeadModel",
        "XLNetModel",
    }


def raise_an_error(error: Exception) -> None:
    raise error


FAULTS = {
    "reader": ("open_params", KeyError("proj")),
    "names": ("fit", RecursionError()),
    "trace": ("load_trace", IndexError()),
}


@pytest.mark.parametrize("target", FAULTS)
def test_any_other_exception_is_a_finding_and_a_refusal_is_none(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, error = FAULTS[target]
    monkeypatch.setattr(targets, name, lambda *_, **__: raise_an_error(FormatError("refused")))
    targets.TARGETS[target](b"")
    monkeypatch.setattr(targets, name, lambda *_, **__: raise_an_error(error))
    with pytest.raises(type(error)):
        targets.TARGETS[target](b"")


def test_a_result_that_contradicts_itself_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = TensorInfo.__getattribute__
    monkeypatch.setattr(
        TensorInfo, "__getattribute__", lambda info, name: 1 if name == "nbytes" else honest(info, name)
    )
    with pytest.raises(AssertionError):
        targets.read_params(GOLDEN["v0"][0])


# Programs that print as libFuzzer does; the second leaves a file as it does when an input ends the target.
QUIET = """
import sys
print("#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 40Mb")
print("#1024\tpulse  cov: 7 ft: 9 corp: 3/9b lim: 4096 exec/s: 512 rss: 41Mb")
print("Done 1500 runs in 2 second(s)")
"""
LOUD = """
import sys
if sys.argv[1] == "names":
    prefix = next(word for word in sys.argv if word.startswith("-artifact_prefix="))
    open(prefix.partition("=")[2] + "crash-0a", "wb").close()
    sys.exit(77)
print("Done 9 runs in 1 second(s)")
"""


def fuzzed(harness: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    (folder / "harness.py").write_text(harness)
    monkeypatch.setattr(run, "HARNESS", folder / "harness.py")
    monkeypatch.setattr(run, "BUILD", folder / "build")
    return run.main(6)


def test_a_run_without_a_finding_prints_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzzed(QUIET, tmp_path, monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reader: 2 seconds"
    assert [line.split() for line in lines[-3:]] == [[name, "1,500", "7", "9", "3", "0"] for name in targets.TARGETS]
    assert len(list((tmp_path / "build" / "reader" / "seeds").iterdir())) == len(SEEDS["reader"])


def test_a_finding_fails_the_run_and_is_printed_with_the_command_to_try_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzzed(LOUD, tmp_path, monkeypatch) == 1
    lines = capsys.readouterr().out.splitlines()
    finding = tmp_path / "build" / "names" / "finding-crash-0a"
    assert lines[-2] == f"FINDING in names: {finding}; the traceback is in {finding.parent / 'log.txt'}"
    assert lines[-1].endswith(f"harness.py names {finding}")


def test_a_fuzzer_that_does_not_run_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="reader: the fuzzer ended with status 1; its output is in "):
        fuzzed("import no_such_module", tmp_path, monkeypatch)
