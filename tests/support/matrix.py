"""Compare converted models with GluonNLP as a user would load them: families x forms x heads x names x sizes x padding.

    python tests/support/matrix.py [--full] [--only FAMILY] [--group GROUP]

Real GluonNLP on MXNet, in a process of its own, writes each checkpoint and says what it computes. `bort-convert`
converts the file, the expression in its last line loads the result, and nothing is set by us: no position ids, no
epsilon; the mask is the tokenizer's, or is made from the config's padding id. Exports go the other way, from models of
transformers to GluonNLP. A failure is one line with the case and its figures; at the end stands a table of counts. The
exit status is 1 if there is a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluon_client import Gluon
from matrix_cases import VERSION, Case, Conversion, Export, Texts, cases

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
LINES = 3
"""Lines that are printed of a case that fails."""


class Processes:
    """One long-lived process of matrix_gluon.py for each version of gluonnlp that is asked."""

    def __init__(self) -> None:
        self.started: dict[str, Gluon] = {}

    def ask(self, version: str, do: str, **question: Any) -> Any:  # noqa: ANN401 - any JSON
        """The answer of a job; an error there is an error here."""
        if version not in self.started:
            later = ROOT / "build" / "reference" / f"gluonnlp-{version}"
            process = Gluon("matrix_gluon.py", *([] if version == VERSION else [later]))
            self.started[version] = process
            assert process.first == version, f"gluonnlp {process.first} runs, expected {version}: make reference"
        answer = self.started[version].ask(do=do, **question)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the processes."""
        for process in self.started.values():
            process.close()


def run_case(case: Case, processes: Processes, folder: Path) -> list[str]:
    """The problems of a case, each in one line; `folder` is empty."""
    from matrix_checks import problems_of  # noqa: PLC0415 - torch, when it is needed

    return problems_of(case, processes, folder)


def main(arguments: Sequence[str]) -> int:
    """Run the cases that the command line chooses; give the exit status."""
    parser = argparse.ArgumentParser(description="Compare converted models with GluonNLP, as a user would load them.")
    parser.add_argument("--full", action="store_true", help="every case, in place of a choice")
    parser.add_argument("--only", metavar="FAMILY", help="cases of one family")
    parser.add_argument("--group", metavar="GROUP", help="cases of one kind, such as own_vocabulary")
    chosen = parser.parse_args(arguments)
    picked = [
        case
        for case in cases(full=chosen.full)
        if chosen.only in {None, case.family} and chosen.group in {None, case.group}
    ]
    if not picked:
        parser.error("no case is of this family and this group")
    import transformers  # noqa: PLC0415 - as above

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    start = time.perf_counter()
    counts = run_all(picked)
    seconds = time.perf_counter() - start
    sys.stdout.write("\n".join([*table(counts), f"{len(picked)} cases in {seconds:.0f} s\n"]))
    return int(any(name == "failures" and count for (_, name), count in counts.items()))


def run_all(picked: Sequence[Case]) -> Counter[tuple[str, str]]:
    """Run cases and print the problems; give the counts by group and kind."""
    processes, counts = Processes(), Counter[tuple[str, str]]()
    try:
        for case in picked:
            with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
                problems = run_case(case, processes, Path(folder))
            counts[case.group, type(case).__name__] += case.count if isinstance(case, Texts) else 1
            counts[case.group, "failures"] += bool(problems)
            for problem in problems[:LINES]:
                sys.stdout.write(f"FAIL {case.name}: {problem}\n")
            sys.stdout.flush()
    finally:
        processes.close()
    return counts


def table(counts: Counter[tuple[str, str]]) -> list[str]:
    """Conversions, exports, texts and cases that failed, by group and in all."""
    columns = [Conversion.__name__, Export.__name__, Texts.__name__, "failures"]
    rows = {group: [counts[group, name] for name in columns] for group in dict.fromkeys(group for group, _ in counts)}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    titles = ["conversions", "exports", "texts", "failed cases"]
    lines = [("group", titles), *rows.items()]
    return ["".join([f"{group:18}", *(f"{cell:>14}" for cell in cells)]) for group, cells in lines]


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    sys.exit(main(sys.argv[1:]))
