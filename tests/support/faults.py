"""Fail every call that touches files once, and check what stands there afterwards; `make faults` prints the table.

A small library (`faults.c`) stands between the program and the C library. A first run of a command records its calls
below the working folder; then each occurrence of each call fails in a run of its own, once with each error.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import importlib
import multiprocessing
import os
import pkgutil
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from environment import unmeasured

from bort_convert.workers.jobs import Outcome as JobOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bort_convert.workers.jobs import Job

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
SHIM = ROOT / "build" / "faults" / "faults.so"
LEFTOVER = re.compile(r"\.\w+(\.\w+)?\.(partial|replaced)-[0-9a-f]{16}")
SHORT = -1
SOME = "some"
"""State of a batch of which some targets are there."""
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR, "EACCES": errno.EACCES, "short": SHORT}
WRITING = {
    "write",
    "pwrite",
    "copy_file_range",
    "sendfile",
    "fsync",
    "close",
    "open",
    "mkdir",
    "rename",
    "link",
    "ftruncate",
}
MOVING = {"read", "pread", "write", "pwrite", "copy_file_range", "sendfile"}
MOST = 200
"""Occurrences of one call that fail all; of more, as many are chosen."""
CHECK, USAGE, INPUT, OUTPUT = 1, 2, 3, 4
"""Exit codes: a check failed, an option is wrong, an input cannot be read, an output cannot be written."""


@dataclass(frozen=True)
class Command:
    """A command of the program, in a folder with `in/` and `out/`.

    Attributes:
        name: for the table.
        arguments: words of the command line.
        target: path that it writes, "" for none.
        codes: folder -> exit codes that an error below it may end with.
        before: commands that make the folder ready.
        can_force: True if it replaces a complete target with `--force`.
        files: file in fixtures -> path in the folder.
        texts: path in the folder -> content of a file.
        parts: directories below the target, each of which is absent or new by itself; empty for a whole target.
    """

    name: str
    arguments: tuple[str, ...]
    target: str
    codes: dict[str, set[int]]
    before: tuple[tuple[str, ...], ...] = ()
    can_force: bool = True
    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


LITTLE = "little_bort/little_bort"
SOURCES = {"bort_4_8_24_32.params": "in/bort.params"}
WITH_VOCABULARY = {
    f"{LITTLE}.params": "in/bort.params",
    f"{LITTLE}.vocab": "in/bort.vocab",
    f"{LITTLE}_ranks.txt": "in/ranks.txt",
}
BORT = ("--family", "bort", "--heads", "8", "--quiet")
TOKENIZER = ("--vocab", "in/bort.vocab", "--bpe-ranks", "in/ranks.txt")
LITTLE_BORT = ("--family", "bort", "--heads", "4", "--quiet")
READ_AND_WRITE = {"in": {INPUT}, "out": {OUTPUT}}
CONVERT = ("convert", "in/bort.params", "out/model")

FLEET = {"bort_4_8_24_32.params": "in/bort.params", "bert_2_2_8_8.params": "in/bert.params"}
PLAN = {"in/plan.csv": "source,name,family,heads\nbort.params,one,bort,8\nbert.params,two,bert,2\n"}
BATCH = ("batch", "in/plan.csv", "--out", "out/root", "--quiet")
OF_A_BATCH = {"in": {USAGE, CHECK}, "out": {OUTPUT, CHECK}}
"""A plan that cannot be read is wrong usage; a source that cannot is one failure among the files."""
OF_THE_BATCH_ITSELF = {"batch.json", "batch.journal"}
SCRATCH = ".batch-scratch"

COMMANDS = (
    Command("convert", (*CONVERT, *LITTLE_BORT, *TOKENIZER), "out/model", READ_AND_WRITE, files=WITH_VOCABULARY),
    Command(
        "convert --force",
        (*CONVERT, *BORT, "--force"),
        "out/model",
        READ_AND_WRITE,
        before=((*CONVERT, *BORT, "--dtype", "float16"),),
        files=SOURCES,
    ),
    Command(
        "convert --dtype",
        (*CONVERT, *BORT, "--dtype", "float16", "--max-shard-size", "20KB", "--strict"),
        "out/model",
        READ_AND_WRITE,
        files=SOURCES,
    ),
    Command(
        "convert --keep-extra",
        ("convert", "in/own_head.params", "out/model", "--family", "bert", "--heads", "2", "--keep-extra", "--quiet"),
        "out/model",
        READ_AND_WRITE,
        files={"own_head.params": "in/own_head.params"},
    ),
    Command(
        "convert .tar.gz",
        ("convert", "in/bort.tar.gz", "out/model", *BORT),
        "out/model",
        READ_AND_WRITE,
        files={"bort_4_8_24_32.params": "in/bort.tar.gz"},
    ),
    Command(
        "export",
        ("export", "in/model", "out/back.params", "--quiet"),
        "out/back.params",
        READ_AND_WRITE,
        before=(("convert", "in/bort.params", "in/model", *BORT),),
        files=SOURCES,
    ),
    Command(
        "export --force",
        ("export", "in/model", "out/back.params", "--quiet", "--force", "--names", "prefix"),
        "out/back.params",
        READ_AND_WRITE,
        before=(
            ("convert", "in/bort.params", "in/model", *BORT),
            ("export", "in/model", "out/back.params", "--quiet"),
        ),
        files=SOURCES,
    ),
    Command(
        "extract",
        ("extract", "in/bort.params", "out/arrays.npz", "--quiet"),
        "out/arrays.npz",
        READ_AND_WRITE,
        files=SOURCES,
    ),
    Command(
        "tokenizer",
        ("tokenizer", "out/model", *TOKENIZER, "--quiet"),
        "out/model",
        {"in": {INPUT}, "out": {INPUT, OUTPUT}},
        before=((*CONVERT, *LITTLE_BORT),),
        can_force=False,
        files=WITH_VOCABULARY,
    ),
    Command(
        "check",
        ("check", "in/model", "--source", "in/bort.params"),
        "",
        {"in": {INPUT, CHECK}},
        before=(("convert", "in/bort.params", "in/model", *BORT),),
        files=SOURCES,
    ),
    Command(
        "inspect", ("inspect", "in/bort.params", "--family", "bort", "--heads", "8"), "", {"in": {INPUT}}, files=SOURCES
    ),
    Command("batch", BATCH, "out/root", OF_A_BATCH, can_force=False, files=FLEET, texts=PLAN, parts=("one", "two")),
    Command(
        "batch again",
        (*BATCH, "--dtype", "float16", "--check"),
        "out/root",
        OF_A_BATCH,
        before=(BATCH,),
        can_force=False,
        files=FLEET,
        texts=PLAN,
        parts=("one", "two"),
    ),
)


@dataclass(frozen=True)
class Fault:
    """One call that fails.

    Attributes:
        call: name of the call.
        occurrence: which of its calls below the folder, from 1.
        error: key of `ERRORS`.
        path: what the call touched in the recorded run, relative to the folder.
    """

    call: str
    occurrence: int
    error: str
    path: str


@dataclass(frozen=True)
class Outcome:
    """State of a folder after a run.

    Attributes:
        fault: the call that failed; None for none.
        status: exit code; negative for the signal that ended the process.
        left: "absent", "old", "new", or "BROKEN" with what differs.
        leftovers: names beside the target.
        printed: text on stderr.
    """

    fault: Fault
    status: int
    left: str
    leftovers: tuple[str, ...]
    printed: str


def shim() -> Path:
    """Compile the library, unless it is there and newer than its source."""
    source = Path(__file__).with_suffix(".c")
    if not SHIM.exists() or SHIM.stat().st_mtime < source.stat().st_mtime:
        SHIM.parent.mkdir(parents=True, exist_ok=True)
        partial = SHIM.with_suffix(f".{os.getpid()}")
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler, "a C compiler is needed"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", partial, source, "-ldl"], check=True)
        partial.rename(SHIM)
    return SHIM


class InThisProcess:
    """Workers of a batch that run every job in the process whose calls fail."""

    def __init__(self, *_room: object) -> None: ...

    @staticmethod
    def run(function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Iterator[JobOutcome[object, object]]:
        """Run each job when it is taken."""
        for job in jobs:
            yield JobOutcome(job, function(job.argument), 0.0)


class Injector:
    """Runs commands in forks of this process, into which the library was preloaded.

    Args:
        folder: an empty folder.
        command: the command.
    """

    def __init__(self, folder: Path, command: Command) -> None:
        self._command, self._printed = command, folder / "printed"
        self._work, self._ready = folder / "work", folder / "ready"
        self._library = ctypes.CDLL(None)
        for name, path in command.files.items():
            self._copy(FIXTURES / name, self._work / path)
        for path, text in command.texts.items():
            (self._work / path).write_text(text)
        (self._work / "out").mkdir()
        for arguments in command.before:
            self._expect_success(arguments)
        self._work.rename(self._ready)
        self._states = {"absent" if not command.target else "old": self._state(self._ready)}
        if not self._states.get("old"):
            self._states = {"absent": {}}
        self._renew()
        self.calls = self._record()
        self._states["new"] = self._state(self._work)

    def faults(self, seed: int, most: int) -> list[Fault]:
        """Recorded calls, at most `most` of each by its name, with each error that they can have."""
        by_call = defaultdict(list)
        for call, path in self.calls:
            by_call[call].append(path)
        random_ = random.Random(seed)  # noqa: S311 - no secrets
        return [
            Fault(call, number + 1, error, paths[number])
            for call, paths in sorted(by_call.items())
            for number in sorted(random_.sample(range(len(paths)), min(most, len(paths))))
            for error in ERRORS
            if (error != "ENOSPC" or call in WRITING) and (error != "short" or call in MOVING)
        ]

    def problems(self, fault: Fault) -> tuple[Outcome, list[str]]:
        """Run the command with a fault, and the next run; give the outcome, and broken promises, a line each."""
        self._renew()
        status, printed, met = self._run(self._command.arguments, (fault.call, fault.occurrence, ERRORS[fault.error]))
        if met:  # threads may come to the same number with another file
            fault = replace(fault, path=met[0][1])
        outcome = Outcome(fault, status, self._left(), self._leftovers(), printed)
        found = list(self._broken_promises(outcome))
        if outcome.leftovers or outcome.left not in self._states or self._command.parts:
            again = ("--force",) if outcome.left == "new" and self._command.can_force else ()
            status, printed, _ = self._run((*self._command.arguments, *again))
            if status or self._left() != "new" or self._leftovers():
                found.append(f"the next run ended with {status}, {self._left()}, {self._leftovers()}: {printed}")
        return outcome, found

    def _broken_promises(self, outcome: Outcome) -> Iterator[str]:
        status, printed = outcome.status, outcome.printed
        if outcome.left not in {*self._states, SOME}:
            yield f"the target is {outcome.left}"
        if status == 0 and outcome.left != "new":
            yield f"the exit code is 0, the target {outcome.left}"
        if "Traceback" in printed or "Exception ignored" in printed:
            yield f"a traceback: {printed}"
        if status == USAGE and outcome.fault.call == "access" and "not readable" in printed:
            return  # click asks the system whether a file may be read
        if status and not printed.startswith("Error: ") and status != CHECK:
            yield f"stderr is {printed!r}"
        side = outcome.fault.path.partition("/")[0]
        if status not in {0, *self._command.codes.get(side, ())}:
            yield f"the exit code is {status}: {printed}"
        if wrong := [name for name in outcome.leftovers if not LEFTOVER.fullmatch(name) and name != SCRATCH]:
            yield f"leftovers have unknown names: {wrong}"

    def _renew(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._ready, self._work)

    def _record(self) -> list[tuple[str, str]]:
        status, printed, calls = self._run(self._command.arguments, ("", 0, 0))
        assert status == 0, printed
        return calls

    def _run(
        self, arguments: tuple[str, ...], armed: tuple[str, int, int] | None = None
    ) -> tuple[int, str, list[tuple[str, str]]]:
        """Run the program; give its exit status, what it printed on stderr, and the calls that were noted."""
        with tempfile.TemporaryFile() as log:

            def arm() -> None:
                if armed:
                    call, occurrence, how = armed
                    folder, number = os.fsencode(self._work), ctypes.c_long(occurrence)
                    self._library.faults_arm(folder, call.encode(), number, how, log.fileno())

            status, printed = self._fork(arguments, arm)
            log.seek(0)
            lines = log.read().decode().splitlines()
        return status, printed, [(call, path) for call, _, path in (line.partition("\t") for line in lines)]

    def _fork(self, arguments: tuple[str, ...], arm: Callable[[], None]) -> tuple[int, str]:
        """Run the program in a child process; give its exit status and what it printed on stderr."""
        child = os.fork()
        if not child:
            os.chdir(self._work)
            with self._printed.open("w") as printed, Path(os.devnull).open("w") as nowhere:
                os.dup2(printed.fileno(), 2)
                os.dup2(nowhere.fileno(), 1)
            status = 70
            try:
                from bort_convert.batch import run as batch_run  # noqa: PLC0415 - loaded before by `preload`
                from bort_convert.cli import main  # noqa: PLC0415 - loaded before by `preload`

                batch_run.LocalWorkers = InThisProcess
                sys.argv = ["bort-convert", *arguments]
                arm()
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            except BaseException:  # noqa: BLE001 - as the interpreter would print it
                sys.excepthook(*sys.exc_info())
            finally:
                with contextlib.suppress(Exception):
                    sys.stderr.flush()
                os._exit(status)
        _, waited = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(waited), self._printed.read_text()

    def _expect_success(self, arguments: tuple[str, ...]) -> None:
        status, printed, _ = self._run(arguments)
        assert status == 0, printed

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.endswith(".tar.gz"):
            with tarfile.open(target, "w:gz") as archive:
                archive.add(source, "model.params")
        else:
            shutil.copyfile(source, target)

    def _state(self, folder: Path) -> dict[str, bytes]:
        """Content of every file of the target, by its path; empty where there is none."""
        target = folder / self._command.target if self._command.target else folder / "out"
        if target.suffix == ".npz" and target.exists():
            with zipfile.ZipFile(target) as archive:  # there are two ways to write one, and both are whole
                return {name: archive.read(name) for name in archive.namelist()}
        files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
        if self._command.parts:
            files = [path for path in files if path.relative_to(target).parts[0] in self._command.parts]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    def _left(self) -> str:
        found = self._state(self._work)
        if self._command.parts:
            return self._left_of_parts(found)
        for name in ("new", "old", "absent"):
            if self._states.get(name) == found:
                return name
        new = self._states["new"]
        differing = sorted(name for name in found.keys() | new.keys() if found.get(name) != new.get(name))
        return f"BROKEN: {', '.join(differing)} differ"

    def _left_of_parts(self, found: dict[str, bytes]) -> str:
        """State that all parts have, `SOME` where they differ; "BROKEN" where one is neither new nor as before."""
        states = set()
        for part in self._command.parts:
            place = f"{self._command.target}/{part}/"
            of = [
                {name: state[name] for name in state if name.startswith(place)}
                for state in (found, *self._states.values())
            ]
            here = [name for name, state in zip(self._states, of[1:], strict=True) if state == of[0]]
            if not here:
                return f"BROKEN: {part} differs"
            states.add("new" if "new" in here else here[0])
        return states.pop() if len(states) == 1 else SOME

    def _leftovers(self) -> tuple[str, ...]:
        target = self._work / self._command.target
        if self._command.parts and target.is_dir():
            known = {*self._command.parts, *OF_THE_BATCH_ITSELF}
            return tuple(sorted(path.name for path in target.iterdir() if path.name not in known))
        return tuple(sorted(path.name for path in (self._work / "out").iterdir() if path != target))


def preload() -> None:
    """Import what the commands import, so that a fork has it."""
    package = importlib.import_module("bort_convert")
    for module in pkgutil.walk_packages(package.__path__, "bort_convert."):
        if not re.match(r"bort_convert\.(agora|verification|__main__|cli\.(agora|verification))", module.name):
            importlib.import_module(module.name)
    import rich.console  # noqa: F401, PLC0415


def inject(
    command: Command, *, seed: int = 0, most: int = MOST, part: tuple[int, int] = (0, 1)
) -> tuple[list[Outcome], list[str]]:
    """Inject the faults of one command; give the outcomes, and all problems.

    Args:
        command: the command.
        seed: of what is chosen at random.
        most: occurrences of each call that fail.
        part: number of this part, and of all parts that share the faults.
    """
    outcomes, problems = [], []
    with tempfile.TemporaryDirectory() as folder:
        injector = Injector(Path(folder), command)
        for fault in injector.faults(seed, most)[part[0] :: part[1]]:
            outcome, found = injector.problems(fault)
            outcomes.append(outcome)
            name = f"{command.name}: {fault.error} in {fault.call} number {fault.occurrence} ({outcome.fault.path})"
            problems += [f"{name}: {line}" for line in found]
    return outcomes, problems


def table(results: dict[str, list[Outcome]]) -> str:
    """Count the outcomes of each command and error."""
    lines = [f"{'COMMAND':20}  {'ERROR':6}  {'EXIT':>4}  {'AFTERWARDS':10}  TIMES"]
    for name, outcomes in results.items():
        tally = Counter((one.fault.error, one.status, one.left.partition(":")[0]) for one in outcomes)
        lines += [
            f"{name:20}  {error:6}  {status:4}  {left:10}  {times:5}"
            for (error, status, left), times in sorted(tally.items())
        ]
    everything = [one for outcomes in results.values() for one in outcomes]
    broken = sum(one.left.startswith("BROKEN") for one in everything)
    calls = len({one.fault.call for one in everything})
    return "\n".join([*lines, f"{len(everything):,} injections into {calls} calls, {broken} broken outputs"])


def main() -> int:
    """Inject, print the table and the problems, and return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="name of one command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=MOST, help="occurrences of each call that fail")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    if os.environ.get("LD_PRELOAD") != str(shim()):
        os.execve(sys.executable, [sys.executable, *sys.argv], unmeasured() | {"LD_PRELOAD": str(shim())})  # noqa: S606
    preload()
    results, problems = {}, []
    for command in COMMANDS:
        if chosen.only in {None, command.name}:
            sys.stderr.write(f"{command.name} ...\n")
            parts = [(command, chosen.seed, chosen.most, (number, chosen.jobs)) for number in range(chosen.jobs)]
            with multiprocessing.get_context("fork").Pool(chosen.jobs) as pool:
                done = pool.starmap(_inject, parts)
            results[command.name] = [outcome for outcomes, _ in done for outcome in outcomes]
            problems += [line for _, lines in done for line in lines]
    sys.stdout.write("\n".join([table(results), *problems, ""]))
    return bool(problems)


def _inject(command: Command, seed: int, most: int, part: tuple[int, int]) -> tuple[list[Outcome], list[str]]:
    return inject(command, seed=seed, most=most, part=part)


if __name__ == "__main__":
    sys.exit(main())
