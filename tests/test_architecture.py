"""Who may import whom, and how long anything may be: the rules stand in the tables below, the code is read as text."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bort_convert"

# Every module may import these two, and its own room.
COMMON = {"errors", "dtypes"}
# A room is a module or a package of bort_convert. It may import the rooms beside it here and no others.
ROOMS = {
    "errors": "",
    "dtypes": "",
    "streams": "",
    "leftovers": "",
    "output": "leftovers",
    "tokenizer": "",
    "axes": "",
    "unfold": "axes",
    "frequencies": "axes",
    "ops": "axes",
    "scramble": "ops",
    "rows": "ops scramble unfold frequencies",
    "families": "rows family",
    "family": "rows families",
    "spelling": "rows",
    "plan": "ops rows",
    "binding": "axes ops frequencies rows plan spelling",
    "fit": "plan binding spelling family",
    "places": "",
    "recognition": "axes ops rows plan binding spelling places fit family",
    "params": "streams",
    "tensorfile": "streams",
    "digests": "streams",
    "half": "",
    "casts": "half streams",
    "values": "",
    "version": "",
    "manifest": "family version",
    "weights": "params tensorfile streams digests manifest output values",
    "shards": "",
    "card": "manifest family",
    "bundle": "manifest card family output streams tokenizer",
    "config": "fit",
    "transfer": "params streams weights casts ops plan fit manifest output shards",
    "convert": "params family fit config tokenizer output transfer bundle card shards manifest weights values",
    "extract": "params weights manifest output",
    "inspection": "params plan family fit config convert weights values",
    "verify": "frequencies plan params tensorfile shards output manifest family fit convert",
    "restoring": "ops binding params tensorfile streams digests recognition verify",
    "export": "bundle family manifest output recognition restoring spelling verify",
    "check": "bundle digests streams tensorfile manifest verify",
    "loading": "verify",
    "__init__": "params family manifest convert export extract inspection loading bundle check verify version",
    "display": "ops family tokenizer fit manifest inspection check values",
    "cli": "__init__ display export verify config shards values",
    "__main__": "cli",
}
# Inside verify: comparing knows nothing of running, and reporting nothing of either framework.
VERIFY = {
    "verify.trace": "verify.tracecheck",
    "verify.tracecheck": "verify.trace",
    "verify.inputs": "",
    "verify.compare": "verify.trace",
    "verify.result": "verify.compare",
    "verify.report": "verify.compare verify.result",
}
# From elsewhere, everyone may have numpy and the standard library, and these only where they stand.
FOREIGN = {
    "torch": "verify.torch_run",
    "transformers": "verify.torch_run",
    "mxnet": "verify.run_mxnet verify.originals",
    "gluonnlp": "verify.run_mxnet verify.originals",
    "matplotlib": "verify.report",
    "huggingface_hub": "tokenizer",
    "ml_dtypes": "dtypes",
    "click": "cli",
    "click_default_group": "cli",
    "rich": "cli",
}
FOR_TYPES = {"typing_extensions", "_typeshed"}  # under `if TYPE_CHECKING:` alone
# A script for any interpreter with MXNet, and the networks that it loads: none imports anything of ours, not even the
# common two.
STANDALONE = ("verify.run_mxnet", "verify.originals")
MODULE_LINES, FUNCTION_LINES, FAMILY_LINES = 250, 40, 100


def name_of(path: Path) -> str:
    """The name of a module below the package: `verify.trace`, `params` for params/__init__.py, `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(tree: ast.Module) -> dict[str, bool]:
    """The full name of each thing that is imported anywhere in a module, and whether it is for types alone."""
    inside = {id(node) for block in ast.walk(tree) if is_for_types(block) for node in ast.walk(block)}
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import of ours names the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            found[name] = found.get(name, True) and id(node) in inside
    return found


def our_module(imported: str) -> str:
    """The module of ours that an import of `bort_convert...` reaches."""
    parts = imported.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or "__init__"


def import_faults(module: str, tree: ast.Module) -> list[str]:
    room, faults = module.partition(".")[0], []
    for imported, for_types in imports_of(tree).items():
        top = imported.split(".")[0]
        if top == "bort_convert":
            target = our_module(imported)
            inner = VERIFY.get(module) if target.startswith("verify.") else None
            if module.startswith(STANDALONE):
                allowed = False
            elif inner is not None:
                allowed = target in inner.split()
            else:
                allowed = target.split(".")[0] in {room, *COMMON, *ROOMS[room].split()} and not target.startswith(
                    STANDALONE
                )
            if not allowed:
                faults.append(f"{module} may not import {target}")
        elif top in FOREIGN:
            if not any(place in {module, module.rpartition(".")[0], room} for place in FOREIGN[top].split()):
                faults.append(f"{module} may not import {top}; {FOREIGN[top]} may")
        elif not (top == "numpy" or top in sys.stdlib_module_names or (top in FOR_TYPES and for_types)):
            faults.append(f"{module} imports {top}, a dependency that no rule knows")
    return faults


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is, less its docstring and its parameters: one with many options is not longer for it."""
    first = node.body[0]
    docstring = first if ast.get_docstring(node) is not None else None
    length = (node.end_lineno or 0) - first.lineno + 1
    return length - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def size_faults(module: str, tree: ast.Module, lines: int) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    is_family = module.startswith("families.")
    limit = FAMILY_LINES if is_family else MODULE_LINES
    faults = [f"{module} has {lines} lines, more than {limit}"] if lines > limit else []
    for node in functions:
        length = lines_of(node)
        if is_family:
            faults.append(f"{module} has a function, {node.name}; a family is a table")
        elif length > FUNCTION_LINES:
            faults.append(f"{module}.{node.name} has {length} lines, more than {FUNCTION_LINES}")
    return faults


def faults_of(module: str, source: str) -> list[str]:
    tree = ast.parse(source)
    return import_faults(module, tree) + size_faults(module, tree, len(source.splitlines()))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_the_rules(module: str) -> None:
    assert module.partition(".")[0] in ROOMS, f"{module} is in no room: give it a line in ROOMS"
    assert faults_of(module, MODULES[module].read_text("utf-8")) == []


def test_every_room_and_rule_is_about_something_that_exists() -> None:
    assert set(ROOMS) == {module.partition(".")[0] for module in MODULES}
    places = {*VERIFY, *" ".join(FOREIGN.values()).split(), *STANDALONE}
    assert places <= {*ROOMS, *MODULES}


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("ops", "from bort_convert.rows import rename", "ops may not import rows"),
        ("ops", "def f():\n    from bort_convert import rows", "ops may not import rows"),
        ("errors", "import bort_convert", "errors may not import __init__"),
        ("families.bort", "from bort_convert.ops import Fill", "families.bort may not import ops"),
        ("params.reader", "import bort_convert.convert", "params.reader may not import convert"),
        ("plan", "from bort_convert.params import open_params", "plan may not import params"),
        ("convert", "from bort_convert.cli import main", "convert may not import cli"),
        (
            "verify.compare",
            "from bort_convert.verify import torch_run",
            "verify.compare may not import verify.torch_run",
        ),
        (
            "verify.report",
            "from bort_convert.verification.trace import Trace",
            "verify.report may not import verify.trace",
        ),
        ("verify.live", "from bort_convert.verify import run_mxnet", "verify.live may not import verify.run_mxnet"),
        ("verify.run_mxnet", "import bort_convert.errors", "verify.run_mxnet may not import errors"),
        ("verify.originals.bert", "import bort_convert", "verify.originals.bert may not import __init__"),
        ("convert", "import torch", "convert may not import torch; verify.torch_run may"),
        (
            "verify.live",
            "import mxnet as mx",
            "verify.live may not import mxnet; verify.run_mxnet verify.originals may",
        ),
        (
            "verify.torch_run",
            "import gluonnlp.model",
            "verify.torch_run may not import gluonnlp; verify.run_mxnet verify.originals may",
        ),
        ("display", "from rich.table import Table", "display may not import rich; cli may"),
        ("inspection", "import click", "inspection may not import click; cli may"),
        ("ops", "import pandas", "ops imports pandas, a dependency that no rule knows"),
        ("ops", "from typing_extensions import Self", "ops imports typing_extensions, a dependency that no rule knows"),
        ("ops", "\n" * 251, "ops has 251 lines, more than 250"),
        ("families.bort", "\n" * 101, "families.bort has 101 lines, more than 100"),
        ("families.bort", "def f(): ...", "families.bort has a function, f; a family is a table"),
        ("ops", "class A:\n  def f(self):\n    'd'\n" + "    f()\n" * 41, "ops.f has 41 lines, more than 40"),
    ],
)
def test_each_rule_can_fail(module: str, source: str, fault: str) -> None:
    assert faults_of(module, source) == [fault]


def test_what_the_rules_allow_passes() -> None:
    source = "if TYPE_CHECKING:\n    from typing_extensions import Self\nimport numpy\nimport bort_convert.errors"
    assert faults_of("ops", source) == []
    assert faults_of("verify.live", "from bort_convert.verify import trace") == []
    assert faults_of("cli.shared", "import click") == []
