"""Measure whole processes from outside, by the operating system's own accounting; shared by all benchmarks.

Each figure is of a process from its start to its end: wall time by `time.perf_counter`, the rest by `os.wait4`. Cases
that are compared take turns, A B C A B C, and the median of each is quoted; a ratio is the median of the ratios within
each round, so that a machine whose speed drifts slows both sides of it. A run waits a moment for other programs to be
idle. A run that they disturbed is made again, a few times at most, and the least disturbed run counts.

This module imports the standard library only: the peak memory of a process begins with that of the process that starts
it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build"
WORK: Final = BUILD / "bench"
RESULTS: Final = BUILD / "bench-results"
FULL_SIZE: Final = BUILD / "full-size" / "bort_4_8_768_1024.params"
BORT_CONVERT: Final = shutil.which("bort-convert", path=str(Path(sys.executable).parent)) or "bort-convert"
BLOCK: Final = 512
"""Bytes in the blocks that `ru_inblock` counts."""
DISTURBED: Final = 0.2
"""Processors that other programs may use during a run that is not made again."""
MOMENT: Final = 0.25
"""Seconds for which short work is repeated."""
PATIENCE: Final = 2.0
"""Seconds to wait for other programs at most, before a run."""
ATTEMPTS: Final = 5
"""Largest number of runs, of which the least disturbed counts."""


@dataclass(frozen=True)
class Run:
    """One process, from its start to its end.

    Attributes:
        wall: seconds by the clock.
        cpu: seconds of all threads, user and system.
        peak_mb: peak resident memory (`ru_maxrss`) of the process or of one that it started, in 10**6 bytes.
        read_mb: bytes read from storage, not from the page cache, in 10**6 bytes.
        others: processors that other programs kept busy meanwhile, on average.
    """

    wall: float
    cpu: float
    peak_mb: float
    read_mb: float
    others: float


@dataclass(frozen=True)
class Case:
    """A command to measure.

    Attributes:
        name: name in the tables.
        command: the program and its arguments.
        before: called before each run, outside the measurement.
        rounds: number of rounds in which the command runs; 0 for all.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], object] = lambda: None
    rounds: int = 0


@dataclass
class Result:
    """Result of a benchmark.

    Attributes:
        tables: Markdown, ready for the page.
        bars: each bar as text, the figure measured, and True if the bar is met.
        raw: every single run.
    """

    tables: list[str] = field(default_factory=list)
    bars: list[tuple[str, str, bool]] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def save(self, name: str) -> None:
        """Print tables and bars, and keep the result as JSON for the page."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": machine(), **asdict(self)}, indent=1)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        verdicts = [f"{'met   ' if met else 'MISSED'}  {bar}: {found}" for bar, found, met in self.bars]
        sys.stdout.write("\n\n".join([*self.tables, "\n".join(verdicts)]) + "\n")


def environment() -> dict[str, str]:
    """Make the environment of the processes: two threads, and compiled modules kept, as of an installed program."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(BUILD / "pycache"), "OMP_NUM_THREADS": "2"}


def run(command: Sequence[str]) -> Run:
    """Run a program to its end, with its output in a log.

    Raises:
        SystemExit: the program failed; the message has its exit status and the end of its output.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / "last.log"
    program = shutil.which(command[0]) or command[0]
    with path.open("wb") as log:
        actions = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
        busy, start = busy_seconds(), time.perf_counter()
        child = os.posix_spawn(program, list(command), environment(), file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter() - start
        busy = busy_seconds() - busy
    if status:
        text = path.read_text(encoding="utf-8", errors="replace")[-2000:]
        sys.exit(f"{' '.join(command)}: status {os.waitstatus_to_exitcode(status)}\n{text}")
    cpu = usage.ru_utime + usage.ru_stime
    others = max(busy - cpu, 0.0) / wall
    return Run(wall, cpu, usage.ru_maxrss * 1024 / 1e6, usage.ru_inblock * BLOCK / 1e6, others)


def wait_for_quiet() -> None:
    """Wait until other programs leave the processors alone, but no longer than `PATIENCE`."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        busy = busy_seconds()
        time.sleep(MOMENT)
        if busy_seconds() - busy < DISTURBED * MOMENT:
            return


def busy_seconds() -> float:
    """Give the seconds that all processors have worked since the start of the system, for programs and the kernel."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        user, nice, system, _idle, _waiting, interrupts, soft, steal = map(int, file.readline().split()[1:9])
    ticks = user + nice + system + interrupts + soft + steal
    return float(ticks / os.sysconf("SC_CLK_TCK"))


def interleaved(
    cases: Sequence[Case], rounds: int, *, warm_up: bool = True, attempts: int = ATTEMPTS
) -> dict[str, list[Run]]:
    """Run every case once a round, after one round that does not count."""
    runs: dict[str, list[Run]] = {case.name: [] for case in cases}
    for number in range(-warm_up, rounds):
        for case in cases:
            if number < (case.rounds or rounds):
                found = least_disturbed(case, 1 if number < 0 else attempts)
                sys.stderr.write(f"{case.name}: {found.wall:.3f} s, others {found.others:.2f}\n")
                if number >= 0:
                    runs[case.name].append(found)
    return runs


def least_disturbed(case: Case, attempts: int) -> Run:
    """Run a case until a run is undisturbed, and give the least disturbed run."""
    best: Run | None = None
    for _ in range(attempts):
        case.before()
        wait_for_quiet()
        found = run(case.command)
        if best is None or found.others < best.others:
            best = found
        if best.others < DISTURBED:
            break
    if best is None:
        raise ValueError(attempts)
    return best


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Time short work in this process: the median seconds of many turns, and the processors that others kept busy.

    The system counts processor time in hundredths of a second, which is too coarse for a single turn.
    """
    turns: list[float] = []
    busy, own = busy_seconds(), time.process_time()
    while sum(turns) < MOMENT:
        start = time.perf_counter()
        work()
        turns.append(time.perf_counter() - start)
    own = time.process_time() - own
    return {"seconds": statistics.median(turns), "others": max(busy_seconds() - busy - own, 0.0) / sum(turns)}


def middle(runs: Iterable[Run], attribute: str = "wall") -> float:
    """Give the median of one figure."""
    return statistics.median(float(getattr(found, attribute)) for found in runs)


def ratio(runs: Sequence[Run], base: Sequence[Run]) -> float:
    """Give the median, over the rounds, of the ratio to another case."""
    return statistics.median(one.wall / other.wall for one, other in zip(runs, base, strict=False))


def excess(runs: Sequence[Run], base: Sequence[Run], factor: float) -> float:
    """Give the median, over the rounds, of the seconds beyond `factor` times another case."""
    return statistics.median(one.wall - factor * other.wall for one, other in zip(runs, base, strict=False))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a Markdown table whose first column is text, and whose other columns are numbers."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def fresh(*paths: Path) -> Callable[[], None]:
    """Make a function that removes the outputs of a run, and waits for the disk to finish earlier writes."""

    def remove() -> None:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        os.sync()

    return remove


def full_size() -> Path:
    """Give the full-size Bort, 510 MB, which GluonNLP writes if it is not there."""
    if not FULL_SIZE.exists():
        maker = ROOT / "fixtures" / "make_full_size.py"
        subprocess.run([sys.executable, str(maker), str(FULL_SIZE)], check=True)
    return warm(FULL_SIZE)


def warm(path: Path) -> Path:
    """Have the page cache hold a file in blocks of up to 2 MB, as after reading it from the disk.

    After a write the blocks are small, and a process that maps the file has fewer bytes of it resident.
    """
    cold(path)
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 22):
            pass
    return path


def cold(path: Path) -> None:
    """Have the page cache drop a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def machine() -> dict[str, str]:
    """Describe the machine."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in information.splitlines() if ":" in line)
    names = {name.strip(): value.strip() for name, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sha_ni")
    flags = [flag for flag in wanted if flag in names.get("flags", "").split()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{names.get('model name', platform.machine())} ({', '.join(flags)})",
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
