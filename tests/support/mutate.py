"""Change the core in one place at a time and run its tests; `make mutate` prints the changes that no test notices.

mutmut makes the changes and runs the tests; `[tool.mutmut]` in pyproject.toml says which modules and which tests. A
change that nobody can notice is listed in `equivalent_mutants.toml` with the reason.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
MUTANTS = ROOT / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
NOTHING = "no.such.mutant"
BAR = 0.95
SURVIVED, NO_TESTS, NOT_RUN = 0, 33, None


@dataclass(frozen=True)
class Change:
    """A change of one function.

    Attributes:
        function: its dotted name.
        before: lines that the change takes away, without indentation, one below the other.
        after: lines that it puts there.
    """

    function: str
    before: str
    after: str


def equivalents() -> dict[Change, str]:
    """Changes that nobody can notice, with the reason."""
    entries = tomllib.loads(EQUIVALENT.read_text("utf-8"))["equivalent"]
    return {
        Change(entry["function"], entry["before"], after): entry["reason"]
        for entry in entries
        for after in entry["after"]
    }


def module_of(function: str) -> str:
    """The module of a function's dotted name, which is the longest part that is a file."""
    parts = function.split(".")
    while not (ROOT / "/".join(parts)).with_suffix(".py").exists():
        parts.pop()
    return ".".join(parts)


def stale() -> list[str]:
    """Entries of the list of which the function has no such line any more."""
    lines = {(change.function, line) for change in equivalents() for line in change.before.split("\n")}
    return [f"{function}: {line}" for function, line in sorted(lines) if line not in lines_of(function)]


def lines_of(function: str) -> set[str]:
    """Lines of a function without indentation; none if it is gone."""
    module = module_of(function)
    text = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    node: ast.ClassDef | ast.FunctionDef | None = None
    for name in function.removeprefix(f"{module}.").split("."):
        node = next((one for one in body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == name), None)
        if node is None:
            return set()
        body = node.body
    assert node is not None
    return {line.strip() for line in text.split("\n")[node.lineno - 1 : node.end_lineno]}


def change_of(name: str, diff: str) -> Change:
    """The change of a mutant, from its name and its diff."""
    function = re.sub(r"__mutmut_\d+$", "", name).replace("xǁ", "").replace("ǁ", ".")
    function = re.sub(r"\.x_(?=\w+$)", ".", function)
    lines = [line for line in diff.split("\n") if not line.startswith(("---", "+++", "@@", "#"))]
    sides = ["\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"]
    return Change(function, *sides)


def exit_codes() -> dict[str, int | None]:
    """Mutant -> exit code of its tests, None if they did not run."""
    codes: dict[str, int | None] = {}
    for file in sorted(MUTANTS.glob("bort_convert/**/*.meta")):
        codes |= json.loads(file.read_text("utf-8"))["exit_code_by_key"]
    return codes


def table(codes: Mapping[str, int | None], equal: Iterable[str]) -> tuple[list[str], float]:
    """A line for each module and one for all, and the score of all: killed ones among those that are no equivalents."""
    equal = set(equal)
    counts: dict[str, Counter[str]] = {}
    for name, code in codes.items():
        if code is not NOT_RUN:
            alive = "equivalent" if name in equal else "survived"
            kind = alive if code in {SURVIVED, NO_TESTS} else "killed"
            counts.setdefault(module_of(name), Counter())[kind] += 1
    counts["all"] = sum(counts.values(), Counter())
    lines = [f"{'module':45} {'mutants':>8} {'killed':>8} {'equivalent':>11} {'survived':>9} {'score':>7}"]
    score = 0.0
    for module, count in counts.items():
        score = count["killed"] / max(1, count["killed"] + count["survived"])
        kinds = (count["killed"], count["equivalent"], count["survived"])
        lines.append(f"{module:45} {count.total():8,} {kinds[0]:8,} {kinds[1]:11,} {kinds[2]:9,} {score:7.1%}")
    return lines, score


def mutmut(*words: str) -> subprocess.CompletedProcess[str]:
    """Run mutmut in the project; what it prints is a spinner."""
    command = [sys.executable, "-m", "mutmut", *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def run(sample: int, seed: int, jobs: int, only: Sequence[str]) -> None:
    """Run the tests of all mutants, or of some that a seed chooses.

    Raises:
        SystemExit: mutmut tried none, because a test fails on the code as it is.
    """
    names = [f"{name}*" for name in only]
    if sample:
        if not exit_codes():
            mutmut("run", NOTHING)  # makes the mutants, and ends
        known = [name for name in exit_codes() if not only or name.startswith(tuple(only))]
        if not known:
            raise SystemExit(mutmut("run", NOTHING).stdout[-3000:])
        names = random.Random(seed).sample(known, min(sample, len(known)))  # noqa: S311 - no secrets
    ended = mutmut("run", "--max-children", str(jobs), *names)
    if not any(code is not NOT_RUN for code in exit_codes().values()):
        raise SystemExit(f"{ended.stdout[-3000:]}\nmutmut tried no mutant; what it printed last is above")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants, print the survivors and the table; exit code 1 below the bar, or for a stale entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="run as many mutants, and not all")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="mutants whose names begin so")
    parser.add_argument("--no-run", action="store_true", help="print what the last runs found")
    chosen = parser.parse_args(arguments)
    if not chosen.no_run:
        run(chosen.sample, chosen.seed, chosen.jobs, chosen.only)
    codes, known = exit_codes(), equivalents()
    alive = {name: change_of(name, mutmut("show", name).stdout) for name, code in codes.items() if code in {0, 33}}
    for name, change in alive.items():
        if change not in known:
            print(f"SURVIVED {name}\n  - {change.before}\n  + {change.after}")  # noqa: T201 - a script
    lines, score = table(codes, (name for name, change in alive.items() if change in known))
    problems = stale()
    print("\n".join([*lines, *(f"STALE {problem}" for problem in problems)]))  # noqa: T201 - a script
    return int(score < BAR or bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
