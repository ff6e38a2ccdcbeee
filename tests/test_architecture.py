"""Rules of the house: who may import whom, where foreign packages are imported, and how long anything may be.

Modules are read as text, so that an import inside a function or for types alone counts too.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bort_convert"

# A room is a package or a module of bort_convert. It may import the rooms beside it here, and what those may import.
ROOMS = {
    "errors": "",
    "version": "",
    "arguments": "errors",
    "plain_table": "",
    "plain_array": "errors",
    "lazy_numpy": "plain_array",
    "public_names": "",
    "dtypes": "errors lazy_numpy",
    "files": "dtypes",
    "params": "files",
    "safetensors": "files",
    "symbol": "dtypes",
    "mapping": "symbol",
    "models": "mapping",
    "zoo": "errors",
    "tokenizer": "zoo",
    "model_dir": "params safetensors models tokenizer version arguments",
    "weights": "model_dir",
    "verification": "model_dir plain_table",
    "commands": "weights verification",
    "workers": "errors version",
    "batch": "commands workers",
    "agora": "verification workers public_names",
    "__init__": "batch agora",
    "cli": "__init__",
    "__main__": "cli",
}
# Inside verification: comparing knows nothing of running, reporting nothing of either framework.
MODULES_OF_VERIFICATION = {
    "verification.trace": "",
    "verification.trace_file": "verification.trace",
    "verification.inputs": "verification.trace",
    "verification.compare": "verification.trace",
    "verification.headline": "verification.compare",
    "verification.findings": "verification.compare verification.headline",
    "verification.report_file": "",
    "verification.github": "",
    "verification.junit": "verification.findings",
    "verification.render": "verification.compare verification.headline verification.findings verification.report_file "
    "verification.junit",
    "verification.report": "verification.findings verification.render",
}
# Everyone may import the standard library, and NumPy at the top of a module; other packages are imported in one place.
FOREIGN = {
    "torch": "verification.torch_run agora.optimizer agora.classifier agora.trial agora.masking agora.encoders",
    "transformers": "verification.torch_run agora.classifier agora.encoders",
    "mxnet": "verification.mxnet_process",
    "gluonnlp": "verification.mxnet_process",
    "sentencepiece": "verification.mxnet_process",
    "matplotlib": "verification.render batch.render agora.render",
    "jinja2": "verification.render",
    "huggingface_hub": "tokenizer.sources",
    "fsspec": "files.remote",
    "ml_dtypes": "dtypes",
    "ray": "workers.cluster",
    "tomli": "mapping.table_file mapping.toml_lines batch.plan_file agora.theta",
    "click": "cli",
    "rich": "cli.terminal",
}
FOR_TYPES = {"typing_extensions", "_typeshed"}  # under `if TYPE_CHECKING:` alone
# A script for any interpreter with MXNet, and the networks that it loads; it says which packages are missing there.
STANDALONE = "verification.mxnet_process"
DELAYS_NUMPY = "lazy_numpy"
MODULE_LINES, FUNCTION_LINES, FAMILY_LINES = 400, 40, 100


def name_of(path: Path) -> str:
    """Name of a module below the package: `files.atomic`, `params` for params/__init__.py, `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def below(room: str) -> frozenset[str]:
    """Rooms that a room may import, itself among them."""
    return frozenset({room}).union(*map(below, ROOMS[room].split()))


def is_inside(module: str, places: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places.split())


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def nodes_inside(tree: ast.AST, *, of_types: bool = False) -> set[int]:
    """Identities of all nodes in functions, or under `if TYPE_CHECKING:`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    blocks = (node for node in ast.walk(tree) if (is_for_types(node) if of_types else isinstance(node, functions)))
    return {id(node) for block in blocks for node in ast.walk(block)}


def imports_of(tree: ast.Module) -> Iterator[tuple[str, bool, bool]]:
    """Full name of each import, whether it is for types alone, and whether a function makes it."""
    for_types, in_function = nodes_inside(tree, of_types=True), nodes_inside(tree)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "an import of ours names the whole path"
            names = [f"{node.module}.{name}" for name in names]
        yield from ((name, id(node) in for_types, id(node) in in_function) for name in names)


def our_module(imported: str) -> str:
    """Module of ours that an import of `bort_convert...` reaches."""
    parts = imported.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or "__init__"


def allowed(module: str, target: str) -> bool:
    if is_inside(module, STANDALONE) or is_inside(target, STANDALONE):
        return False
    inner = MODULES_OF_VERIFICATION.get(module)
    if inner is not None and room_of(target) == "verification":
        return target in inner.split()
    return room_of(target) in below(room_of(module))


def import_faults(module: str, tree: ast.Module) -> Iterator[str]:
    for imported, for_types, in_function in imports_of(tree):
        top = imported.split(".")[0]
        if top == "bort_convert":
            if not allowed(module, our_module(imported)):
                yield f"{module} may not import {our_module(imported)}"
        elif top in FOREIGN:
            if not is_inside(module, FOREIGN[top]):
                yield f"{module} may not import {top}; {FOREIGN[top]} may"
        elif top == "numpy":
            if in_function and not is_inside(module, f"{DELAYS_NUMPY} {STANDALONE}"):
                yield f"{module} imports numpy in a function; take `np` from lazy_numpy, or import it at the top"
        elif not (top in sys.stdlib_module_names or (top in FOR_TYPES and for_types)):
            yield f"{module} imports {top}, a dependency that no rule knows"


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and its parameters: one with many options is not longer for them."""
    first = node.body[0]
    docstring = first if ast.get_docstring(node) is not None else None
    length = (node.end_lineno or 0) - first.lineno + 1
    return length - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def size_faults(module: str, tree: ast.Module, lines: int) -> Iterator[str]:
    is_family = module.startswith("models.") and module != "models.registry"
    limit = FAMILY_LINES if is_family else MODULE_LINES
    if lines > limit:
        yield f"{module} has {lines} lines, more than {limit}"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if is_family:
                yield f"{module} has a function, {node.name}; a family is a table"
            elif lines_of(node) > FUNCTION_LINES:
                yield f"{module}.{node.name} has {lines_of(node)} lines, more than {FUNCTION_LINES}"


def faults_of(module: str, source: str) -> list[str]:
    tree = ast.parse(source)
    return [*import_faults(module, tree), *size_faults(module, tree, len(source.splitlines()))]


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """Some circle of arrows, from a name back to itself; empty if there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for target in sorted(arrows.get(name, ())):
                if circle := walk(target, [*path, name]):
                    return circle
            done.add(name)
        return []

    return next((circle for name in sorted(arrows) if (circle := walk(name, []))), [])


def module_arrows(*, with_types: bool) -> dict[str, set[str]]:
    """Modules of ours that each module imports; a package's own modules are no import of the package."""
    arrows: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        imports = imports_of(ast.parse(path.read_text("utf-8")))
        targets = {
            our_module(name)
            for name, for_types, _ in imports
            if room_of(name) == "bort_convert" and with_types >= for_types
        }
        arrows[module] = {target for target in targets if target != module}
    return arrows


def hidden_by(package: ModuleType) -> list[str]:
    """Modules of a package whose name in the package is that of something else, such as a function."""
    public = getattr(package, "__all__", ())
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [name for name in names if name in public or not isinstance(getattr(package, name, package), ModuleType)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_the_rules(module: str) -> None:
    assert room_of(module) in ROOMS, f"{module} is in no room: give it a line in ROOMS"
    assert faults_of(module, MODULES[module].read_text("utf-8")) == []


def test_every_room_and_rule_is_about_something_that_exists() -> None:
    assert set(ROOMS) == {room_of(module) for module in MODULES}
    inner = " ".join([*MODULES_OF_VERIFICATION, *MODULES_OF_VERIFICATION.values()])
    assert {*inner.split(), *" ".join(FOREIGN.values()).split(), STANDALONE, DELAYS_NUMPY} <= {*MODULES}


def test_every_rule_about_a_foreign_package_is_needed() -> None:
    for package, places in FOREIGN.items():
        for place in places.split():
            sources = [path.read_text("utf-8") for module, path in MODULES.items() if is_inside(module, place)]
            imports = [name for source in sources for name, *_ in imports_of(ast.parse(source))]
            assert package in {name.split(".")[0] for name in imports}, f"{place} does not import {package}"


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle_in({room: set(rooms.split()) for room, rooms in ROOMS.items()}) == []
    assert circle_in(module_arrows(with_types=False)) == []


@pytest.mark.parametrize("package", sorted(name for name, path in MODULES.items() if path.name == "__init__.py"))
def test_no_public_name_hides_a_module(package: str) -> None:
    name = "bort_convert" if package == "__init__" else f"bort_convert.{package}"
    assert hidden_by(importlib.import_module(name)) == []


def test_the_rules_about_names_and_circles_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}) == ["a", "b", "c", "a"]
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "verify.py").write_text("def verify(): ...")
    (tmp_path / "hiding" / "__init__.py").write_text("from hiding.verify import verify")
    monkeypatch.syspath_prepend(tmp_path)
    assert hidden_by(importlib.import_module("hiding")) == ["verify"]


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("mapping.ops", "from bort_convert.models import bort", "mapping.ops may not import models.bort"),
        ("mapping.ops", "def f():\n    from bort_convert import files", "mapping.ops may not import files"),
        ("mapping.plan", "if TYPE_CHECKING:\n    import bort_convert.params", "mapping.plan may not import params"),
        ("errors", "import bort_convert", "errors may not import __init__"),
        ("tokenizer.kind", "from bort_convert.dtypes import Shape", "tokenizer.kind may not import dtypes"),
        ("params.reader", "import bort_convert.safetensors", "params.reader may not import safetensors"),
        ("model_dir.read", "from bort_convert import weights", "model_dir.read may not import weights"),
        ("weights.casts", "import bort_convert.verification", "weights.casts may not import verification"),
        ("commands.load", "from bort_convert.cli import main", "commands.load may not import cli"),
        (
            "verification.compare",
            "from bort_convert.verification import torch_run",
            "verification.compare may not import verification.torch_run",
        ),
        (
            "verification.render",
            "from bort_convert.verification.trace import Trace",
            "verification.render may not import verification.trace",
        ),
        (
            "verification.reference",
            "from bort_convert.verification.mxnet_process import run",
            "verification.reference may not import verification.mxnet_process.run",
        ),
        (
            "verification.mxnet_process.run",
            "import bort_convert.errors",
            "verification.mxnet_process.run may not import errors",
        ),
        (
            "commands.load",
            "import torch",
            f"commands.load may not import torch; {FOREIGN['torch']} may",
        ),
        (
            "verification.reference",
            "import mxnet as mx",
            "verification.reference may not import mxnet; verification.mxnet_process may",
        ),
        (
            "cli.text",
            "from rich.table import Table",
            "cli.text may not import rich; cli.terminal may",
        ),
        ("commands.inspect", "import click", "commands.inspect may not import click; cli may"),
        (
            "weights.casts",
            "def f():\n    import numpy as np",
            "weights.casts imports numpy in a function; take `np` from lazy_numpy, or import it at the top",
        ),
        ("files.streams", "import pandas", "files.streams imports pandas, a dependency that no rule knows"),
        (
            "files.streams",
            "from typing_extensions import Self",
            "files.streams imports typing_extensions, a dependency that no rule knows",
        ),
        ("mapping.ops", "\n" * 401, "mapping.ops has 401 lines, more than 400"),
        ("models.bort", "\n" * 101, "models.bort has 101 lines, more than 100"),
        ("models.bort", "def f(): ...", "models.bort has a function, f; a family is a table"),
        (
            "mapping.ops",
            "class A:\n  def f(self):\n    'd'\n" + "    f()\n" * 41,
            "mapping.ops.f has 41 lines, more than 40",
        ),
    ],
)
def test_each_rule_can_fail(module: str, source: str, fault: str) -> None:
    assert faults_of(module, source) == [fault]


def test_what_the_rules_allow_passes() -> None:
    source = "if TYPE_CHECKING:\n    from typing_extensions import Self\nimport numpy\nimport bort_convert.errors"
    assert faults_of("weights.casts", source) == []
    assert faults_of("verification.reference", "from bort_convert.verification import trace") == []
    assert faults_of("cli.options", "import click\nimport bort_convert") == []
    assert faults_of("models.registry", "def families(): ...") == []


PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SMALL = {
    "errors",
    "version",
    "arguments",
    "plain_table",
    "plain_array",
    "lazy_numpy",
    "dtypes",
    "public_names",
    "__init__",
    "__main__",
}


def without_detours(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Arrows without those to a room that another arrow leads to."""

    def reached(room: str) -> set[str]:
        return arrows.get(room, set()).union(*(reached(target) for target in arrows.get(room, ())))

    return {room: targets - set().union(*map(reached, targets)) for room, targets in arrows.items()}


def test_the_picture_has_the_rooms_and_the_arrows_of_the_code() -> None:
    arrows: dict[str, set[str]] = {room: set() for room in ROOMS if room not in SMALL}
    for module, targets in module_arrows(with_types=True).items():
        if room_of(module) not in SMALL:
            arrows[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module), *SMALL}
    drawn: dict[str, set[str]] = {room: set() for room in re.findall(r'^ +(\w+)\["', PAGE, re.MULTILINE)}
    for room, target in re.findall(r"^ +(\w+) --> (\w+)$", PAGE, re.MULTILINE):
        drawn[room].add(target)
    assert drawn == without_detours(arrows)


def test_the_page_names_modules_and_small_modules_that_exist() -> None:
    named = set(re.findall(r"`(?:bort_convert\.)?([a-z_]+\.[a-z_]+)`", PAGE))
    assert len(named) > 30
    assert named <= {*MODULES, "bort_convert.params"}
    below = PAGE[PAGE.index("Below all of them") :].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", below)) == SMALL - {"__init__", "__main__"}


def test_links_of_the_page_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_a_detour_is_left_out() -> None:
    assert without_detours({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
