"""Batches of small checkpoints of every family: what is converted, what is left alone, what is refused."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleet import FIXTURES, GOOD, Ship, content, launch, options_of, write_plan

import bort_convert
from bort_convert.batch import states
from bort_convert.batch.journal import FILE_NAME, Journal, read_memories
from bort_convert.batch.run import SCRATCH
from bort_convert.errors import OptionError, OutputError
from bort_convert.workers.jobs import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from bort_convert import BatchResult
    from bort_convert.workers.jobs import Job

pytestmark = pytest.mark.long


class Here:
    """Workers that run every job in this process, as a batch of a few files is tested fastest."""

    def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
        for job in jobs:
            yield Outcome(job, function(job.argument), 0.0)


@pytest.fixture(autouse=True)
def _own_temporary_folder() -> Iterator[None]:
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before  # a job sets it, for its process; a test may undo what is patched sooner


@pytest.fixture
def ships(tmp_path: Path) -> list[Ship]:
    (tmp_path / "in").mkdir()
    return launch(tmp_path / "in", 4, 0)


def convert(ships: list[Ship], folder: Path, **options: object) -> BatchResult:
    plan = bort_convert.read_plan(write_plan(folder / "plan.jsonl", ships))
    return bort_convert.convert_batch(plan, folder / "out", **{"workers": Here(), **options})


def statuses(result: BatchResult) -> list[str]:
    return [f"{file.status}: {file.reason}" if file.reason else file.status for file in result.files]


def test_two_hundred_checkpoints_of_all_families(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ships = launch(tmp_path / "in", 180, 20)
    assert len({ship.options["family"] for ship in ships}) == 7
    told: list[str] = []
    result = convert(ships, tmp_path, workers=None, jobs=2, progress=lambda file: told.append(file.name))
    assert not result
    assert result.counts == {"converted": 180, "failed": 20}
    assert result.headline == "FAIL 20 of 200 files: 180 converted, 20 failed"
    assert sorted(told) == sorted(ship.name for ship in ships)
    for ship, file in zip(ships, result.files, strict=True):
        assert (file.name, file.source, bool(file)) == (ship.name, str(ship.source), not ship.refusal)
        if ship.refusal:
            assert ship.refusal in file.error["message"], file.error
            assert not (tmp_path / "out" / ship.name).exists()
            continue
        bort_convert.convert(ship.source, tmp_path / "single" / ship.name, **ship.options)
        assert content(tmp_path / "single" / ship.name) == content(tmp_path / "out" / ship.name)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {FILE_NAME, *(ship.name.split("/")[0] for ship in ships if not ship.refusal)}


def test_what_is_there_is_left_alone_and_what_changed_is_done_again(tmp_path: Path, ships: list[Ship]) -> None:
    first, second, third, fourth = ships
    assert statuses(convert(ships, tmp_path)) == ["converted: new"] * 4
    before = (tmp_path / "out" / FILE_NAME).read_bytes()
    assert statuses(convert(ships, tmp_path)) == ["up to date"] * 4
    assert len((tmp_path / "out" / FILE_NAME).read_bytes().splitlines()) == len(before.splitlines()) + 1
    third.source.write_bytes(third.source.read_bytes()[:-1] + b"x")  # the last letter of a name
    second.options["license"] = "mit"
    shutil.rmtree(tmp_path / "out" / fourth.name)
    result = convert(ships, tmp_path)
    assert statuses(result)[:2] == ["up to date", "converted: other options"]
    assert (result.files[2].status, result.files[2].error["type"]) == ("failed", "OtherTensorsError")
    assert statuses(result)[3] == "converted: the target is gone"
    third.source.write_bytes(third.source.read_bytes()[:-1] + b"t")
    shutil.copyfile(GOOD[5], third.source)
    ships[2] = replace(third, options=options_of(GOOD[5]))
    assert statuses(convert(ships, tmp_path)) == ["up to date", "up to date", "converted: another source", "up to date"]
    bort_convert.convert(ships[2].source, tmp_path / "single", **ships[2].options)
    assert content(tmp_path / "single") == content(tmp_path / "out" / ships[2].name)
    assert first.source.exists()


def test_another_source_of_the_same_size_is_converted_again(tmp_path: Path) -> None:
    source = tmp_path / "a.params"
    shutil.copyfile(FIXTURES / "bort_4_8_24_32.params", source)
    ships = [Ship(source, "a", {"family": "bort", "heads": 8})]
    assert convert(ships, tmp_path)
    data = bytearray(source.read_bytes())
    data[200] ^= 1  # a bit of a weight
    source.write_bytes(data)
    assert statuses(convert(ships, tmp_path)) == ["converted: another source"]
    assert bort_convert.check(tmp_path / "out" / "a", source=source)


def test_a_file_that_an_option_names_counts_by_its_content(tmp_path: Path) -> None:
    vocab = tmp_path / "v.vocab"
    shutil.copyfile(FIXTURES / "tiny.vocab", vocab)
    shutil.copyfile(FIXTURES / "tiny_ranks.txt", tmp_path / "ranks.txt")
    source = FIXTURES / "bort_4_8_24_32.params"
    options = {"family": "bort", "heads": 8, "vocab": str(vocab), "bpe_ranks": str(tmp_path / "ranks.txt")}
    ships = [Ship(source, "a", options)]
    assert convert(ships, tmp_path), convert(ships, tmp_path).files[0].error
    vocab.rename(tmp_path / "other.vocab")
    options["vocab"] = str(tmp_path / "other.vocab")
    assert statuses(convert(ships, tmp_path)) == ["up to date"]
    with (tmp_path / "other.vocab").open("a") as file:
        file.write(" ")
    assert statuses(convert(ships, tmp_path)) == ["converted: another vocab"]


def test_another_version_of_ours_converts_again(
    tmp_path: Path, ships: list[Ship], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(ships, tmp_path)
    monkeypatch.setattr(states, "__version__", "99.0")
    assert statuses(convert(ships, tmp_path))[0].startswith("converted: bort_convert ")
    assert statuses(convert(ships, tmp_path)) == ["up to date"] * 4


def test_a_target_that_was_changed_is_made_again_but_a_file_of_the_user_is_kept(
    tmp_path: Path, ships: list[Ship]
) -> None:
    convert(ships, tmp_path)
    folders = [tmp_path / "out" / ship.name for ship in ships]
    (folders[0] / "config.json").unlink()
    (folders[1] / "conversion.json").write_text("{}")
    (folders[2] / "conversion.json").unlink()
    (folders[3] / "conversion.json").unlink()
    (folders[3] / "mine.txt").write_text("years of work")
    result = convert(ships, tmp_path)
    assert statuses(result)[0] == "converted: the target lacks config.json"
    assert [file.status for file in result.files[1:]] == [
        "failed"
    ] * 3  # nothing tells a conversion from files of a user
    assert all(file.error["type"] == "OutputError" for file in result.files[1:])
    assert (folders[3] / "mine.txt").read_text() == "years of work"


def test_a_directory_of_another_conversion_is_replaced_by_force_alone(tmp_path: Path, ships: list[Ship]) -> None:
    first = ships[0]
    bort_convert.convert(FIXTURES / "gpt2_2_3_48_12.params", tmp_path / "out" / first.name, family="gpt2", heads=3)
    before = content(tmp_path / "out" / first.name)
    for _ in range(2):  # the second time the journal knows the name
        result = convert(ships, tmp_path)
        assert (result.files[0].status, result.files[0].error["type"]) == ("failed", "OutputError")
        assert "is not empty" in result.files[0].error["message"]
        assert content(tmp_path / "out" / first.name) == before
    assert statuses(convert(ships, tmp_path, force=True))[0] == "converted: failed before"
    assert content(tmp_path / "out" / first.name) != before


def test_failed_files_alone_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ships = launch(tmp_path / "in", 3, 1)
    assert convert(ships[:-1], tmp_path).counts == {"converted": 2, "failed": 1}
    result = convert(ships, tmp_path, retry_failed=True)
    assert result.counts == {"up to date": 2, "failed": 1, "not run": 1}
    (broken,) = [ship for ship in ships if ship.refusal]
    shutil.copyfile(GOOD[0], broken.source)
    result = convert(ships, tmp_path, retry_failed=True)
    assert result.counts == {"converted": 1, "up to date": 2, "not run": 1}
    assert not result


def test_the_first_failure_ends_a_batch_that_shall_fail_fast(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ships = sorted(launch(tmp_path / "in", 3, 1), key=lambda ship: not ship.refusal)
    result = convert(ships, tmp_path, fail_fast=True)
    assert result.counts == {"failed": 1, "not run": 3}
    assert convert(ships, tmp_path).counts == {"converted": 3, "failed": 1}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ships = launch(tmp_path / "in", 2, 2)
    result = convert(ships, tmp_path, dry_run=True)
    assert result.counts == {"fits": 2, "failed": 2}
    assert not (tmp_path / "out").exists()
    convert(ships, tmp_path)
    before = content(tmp_path / "out")
    next(ship for ship in ships if not ship.refusal).options["license"] = "mit"
    assert sorted(statuses(convert(ships, tmp_path, dry_run=True))) == [
        *("failed", "failed", "fits: other options", "up to date"),
    ]
    assert content(tmp_path / "out") == before
    wrong = [Ship(GOOD[0], "x", {**options_of(GOOD[0]), "labels": ["a"]})]
    assert convert(wrong, tmp_path, dry_run=True).files[0].error["type"] == "OptionError"


def test_a_check_finds_a_flipped_byte_and_the_next_run_mends_it(tmp_path: Path, ships: list[Ship]) -> None:
    assert all(file.problems == () for file in convert(ships, tmp_path, check=True).files)
    weights = tmp_path / "out" / ships[1].name / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert statuses(convert(ships, tmp_path)) == ["up to date"] * 4  # names and sizes do not tell
    result = convert(ships, tmp_path, check=True)
    assert result.counts == {"up to date": 3, "failed": 1}
    assert "sha256" in result.files[1].problems[0]
    assert convert(ships, tmp_path, check=True).counts == {"converted": 1, "up to date": 3}


def test_a_conversion_that_was_whole_when_the_run_was_killed_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ships = launch(tmp_path / "in", 6, 0)
    plan = bort_convert.read_plan(write_plan(tmp_path / "plan.jsonl", ships))
    whole, other_options, other_source, stood_before, _, gone = plan
    out = tmp_path / "out"
    for entry in plan[:-2]:
        bort_convert.convert(entry.source, out / entry.name, **entry.options)
    with Journal(out) as journal:
        for entry in plan[:-2]:
            before = states.manifest_digest(out / entry.name) if entry is stood_before else ""
            options = {**entry.options, "license": "mit"} if entry is other_options else entry.options
            state = states.state_of(replace(entry, options=options), {"verify": None})
            journal.begin(entry.name, state, before=before, free=True)
        journal.begin(gone.name, states.state_of(gone, {"verify": None}), before="", free=True)
    data = bytearray(Path(other_source.source).read_bytes())
    data[200] ^= 1
    Path(other_source.source).write_bytes(data)
    inode = (out / whole.name).stat().st_ino
    leftovers = [
        out / f"{entry.name.rpartition('/')[0]}/.{entry.name.rpartition('/')[2]}.partial-0123456789abcdef"
        for entry in (whole, gone)
    ]
    for leftover in (*leftovers, out / SCRATCH / "bort-convert-x"):
        leftover.mkdir(parents=True)
    result = convert(ships, tmp_path)
    assert [file.name for file in result.files if file.status == "up to date"] == [whole.name]
    assert result.counts == {"converted": 5, "up to date": 1}
    assert (out / whole.name).stat().st_ino == inode
    assert not any(path.exists() for path in (*leftovers, out / SCRATCH))
    assert not any(memory.is_open for memory in read_memories(out).values())
    assert convert(ships, tmp_path).counts == {"up to date": 6}


def test_a_worker_that_died_is_a_failure_of_its_file(tmp_path: Path, ships: list[Ship]) -> None:
    class Dying(Here):
        def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
            for number, job in enumerate(jobs):
                dead = Failure("the process died of SIGKILL; out of memory?", died=True)
                ends = {1: dead, 2: Failure("ValueError: x", traceback="Traceback ...")}
                yield Outcome(job, ends[number] if number in ends else function(job.argument), 0.5)

    result = convert(ships, tmp_path, workers=Dying())
    assert [file.status for file in result.files] == ["converted", "failed", "failed", "converted"]
    assert result.files[2].error == {
        "type": "InternalError",
        "message": "ValueError: x",
        "traceback": "Traceback ...",
    }
    assert result.files[1].error == {"type": "WorkerDied", "message": "the process died of SIGKILL; out of memory?"}
    assert convert(ships, tmp_path).counts == {"converted": 2, "up to date": 2}


def test_a_machine_that_does_not_see_the_root_ends_the_batch(tmp_path: Path, ships: list[Ship]) -> None:
    class Elsewhere(Here):
        def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
            away = (
                replace(job, argument=replace(job.argument, scratch=job.argument.scratch.with_name("gone")))
                for job in jobs
            )
            yield from super().run(function, away)

    with pytest.raises(
        OutputError, match=r"out on .* is not the folder of this batch\. On a cluster every machine has"
    ):
        convert(ships, tmp_path, workers=Elsewhere())
    assert convert(ships, tmp_path).counts == {"converted": 4}


def test_an_error_on_another_machine_names_it(tmp_path: Path, ships: list[Ship]) -> None:
    class Elsewhere(Here):
        def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
            ships[0].source.unlink(missing_ok=True)
            away = (replace(job, argument=replace(job.argument, machine="head")) for job in jobs)
            yield from super().run(function, away)

    result = convert(ships, tmp_path, workers=Elsewhere())
    assert result.counts == {"converted": 3, "failed": 1}
    assert result.files[0].error["message"].endswith(f"No such file or directory (on {platform.node()})")
    assert "(on " not in convert(ships, tmp_path).files[0].error["message"]


def test_a_job_that_is_run_again_finds_its_own_target(tmp_path: Path, ships: list[Ship]) -> None:
    class Twice(Here):
        def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
            for job in jobs:
                function(job.argument)  # and then its machine is lost
                yield Outcome(job, function(job.argument), 0.0)

    assert convert(ships, tmp_path, workers=Twice())
    assert convert(ships, tmp_path).counts == {"up to date": 4}


@pytest.mark.parametrize("call", ["listdir", "mkdir"])
def test_a_root_that_the_system_refuses_is_an_error_of_ours(
    tmp_path: Path, ships: list[Ship], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    convert(ships, tmp_path)
    real = getattr(os, call)

    def refused(path: object, *rest: object) -> object:
        if str(path).startswith(str(tmp_path / "out")):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, call, refused)
    with pytest.raises(OutputError, match=r"cannot be written: Permission denied\. Choose a place"):
        convert(ships, tmp_path)
    monkeypatch.undo()
    assert convert(ships, tmp_path).counts == {"up to date": 4}


def test_a_target_that_cannot_be_listed_for_a_moment_is_not_taken_for_a_finished_one(
    tmp_path: Path, ships: list[Ship], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(ships, tmp_path)
    halved = [replace(ship, options={**ship.options, "dtype": "float16"}) for ship in ships]
    target, real, failed = tmp_path / "out" / ships[0].name, os.listdir, []

    def fails_once(path: object) -> list[str]:
        if path == target and not failed:
            failed.append(path)
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", fails_once)
    assert convert(halved, tmp_path).counts == {"converted": 4}
    assert failed == [target]
    assert '"dtype": "float16"' in (target / "config.json").read_text()


def test_a_source_that_cannot_be_read_any_more_is_one_failure(
    tmp_path: Path, ships: list[Ship], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(ships, tmp_path)

    def fails(_path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(ships[1].source))

    ours = states.sha256_of_file
    monkeypatch.setattr(states, "sha256_of_file", lambda path: fails(path) if path == ships[1].source else ours(path))
    for _ in range(2):
        result = convert(ships, tmp_path)
        assert result.counts == {"up to date": 3, "failed": 1}
        assert (
            result.files[1].error["message"]
            == f"{ships[1].source}: cannot be read: Input/output error. Is its disk in order?"
        )
    monkeypatch.undo()
    assert convert(ships, tmp_path, retry_failed=True).counts == {"up to date": 4}  # the target stands as it was
    tried: list[str] = []
    again = convert(ships, tmp_path, retry_failed=True, progress=lambda file: tried.append(file.name))
    assert (again.counts, tried) == ({"up to date": 4}, [])


def test_wrong_places_and_numbers_are_refused(tmp_path: Path, ships: list[Ship]) -> None:
    with pytest.raises(OptionError, match="`jobs=0`: expected at least 1"):
        convert(ships, tmp_path, jobs=0)
    bort_convert.convert(GOOD[0], tmp_path / "out", **options_of(GOOD[0]))
    with pytest.raises(OutputError, match=r"a converted directory. Choose a place outside of it"):
        convert(ships, tmp_path)
    assert not (tmp_path / "out" / FILE_NAME).exists()


@pytest.mark.torch
def test_a_recorded_trace_proves_a_conversion_and_a_wrong_one_refuses_it(tmp_path: Path) -> None:
    right, wrong = (FIXTURES / "traces" / f"bort_{size}.safetensors" for size in ("4_8_24_32", "2_3_24_24"))
    source, options = FIXTURES / "bort_4_8_24_32.params", {"family": "bort", "heads": 8}
    ships = [Ship(source, name, {**options, "trace": str(path)}) for name, path in (("a", right), ("b", wrong))]
    first, second = convert(ships, tmp_path, verify=True).files
    assert first.report["passed"]
    assert first.worst[0] < first.worst[1]
    assert bort_convert.check(tmp_path / "out" / "a")
    assert (second.status, second.error["type"], second.report["passed"]) == ("failed", "ParityError", False)
    assert not (tmp_path / "out" / "b").exists()
    again = convert(ships[:1], tmp_path, verify=True).files[0]
    assert (again.status, again.report) == ("up to date", first.report)
    plain = convert([Ship(source, "c", options)], tmp_path)
    assert plain.files[0].report == {}
    proved = convert([replace(ships[0], name="c")], tmp_path, verify=True)
    assert statuses(proved) == ["converted: not verified before"]
    other = [replace(ships[0], options={**options, "trace": str(wrong)}, name="c")]
    assert statuses(convert(other, tmp_path)) == ["up to date"]
    assert convert(other, tmp_path, verify=True).files[0].status == "failed"


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_crash_of_mxnet_costs_one_file_and_the_others_are_proved_in_one_process(tmp_path: Path) -> None:
    """MXNet's side dies of the checkpoint whose name says so, as of one that it cannot read."""
    python = tmp_path / "python"
    log = tmp_path / "log"
    python.write_text(
        f"#!/bin/sh\necho start >> {log}\nexec {sys.executable} -c '"
        "import os, runpy, sys; sys.argv = sys.argv[1:]; import builtins; real = builtins.open\n"
        "def opened(file, *rest, **more):\n"
        "    opened = real(file, *rest, **more)\n"
        '    if str(file).endswith("job.json") and "crash.params" in real(file).read(): os.abort()\n'
        "    return opened\n"
        'builtins.open = opened; runpy.run_path(sys.argv[0], run_name="__main__")\' "$@"\n'
    )
    python.chmod(0o755)
    names = ("bert_2_2_8_8", "bort_4_8_24_32", "gpt2_2_3_48_12", "xlnet_2_2_8_8")
    ships = [Ship(FIXTURES / f"{name}.params", name, options_of(FIXTURES / f"{name}.params")) for name in names]
    shutil.copyfile(ships[0].source, tmp_path / "crash.params")
    ships.insert(2, replace(ships[0], source=tmp_path / "crash.params", name="crash"))
    result = convert(ships, tmp_path, workers=None, jobs=1, verify=True, mxnet_python=str(python))
    statuses = [file.status for file in result.files]
    assert statuses == ["converted", "converted", "failed", "converted", "converted"], [
        file.error for file in result.files
    ]
    crashed = result.files[2]
    assert crashed.error["type"] == "BackendError"
    assert crashed.error["message"].startswith("MXNet died of SIGABRT")
    assert log.read_text() == "start\n" * 2
    assert all(file.report["passed"] for file in result.files if file)
