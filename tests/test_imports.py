"""Modules that are imported, and when: programs of their own run, and print the modules that they loaded."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import bort_convert

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "mxnet", "gluonnlp", "matplotlib")
LAZY = ("rich", "ml_dtypes", "jinja2")
LOADED = f"""
import sys
print("loaded:", *sorted({{*{HEAVY!r}, *{LAZY!r}}} & set(sys.modules)))
"""
CONVERSION = """
import sys
from bort_convert.cli import main
sys.argv = ["bort-convert", *sys.argv[1:], "--family", "bort", "--heads", "8"]
try:
    main()
except SystemExit as end:
    assert not end.code, end
"""


def run(program: str, *arguments: object) -> str:
    """Output of a Python program; nothing may go wrong, and nothing may be printed on stderr."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def loaded_by(program: str, *arguments: object) -> list[str]:
    """Heavy and lazy modules that a program has loaded at its end."""
    return run(program + LOADED, *arguments).splitlines()[-1].removeprefix("loaded:").split()


def test_importing_the_package_imports_no_framework() -> None:
    assert loaded_by("import bort_convert") == []


@pytest.mark.parametrize("module", ["cli", "cli.checkpoints", "cli.directories", "cli.verification", "verification"])
def test_importing_the_command_line_or_the_verifier_imports_no_framework_and_nothing_that_draws(module: str) -> None:
    assert loaded_by(f"import bort_convert.{module}") == []


def test_a_whole_conversion_imports_no_framework(fixtures: Path, tmp_path: Path) -> None:
    assert loaded_by(CONVERSION, fixtures / "bort_4_8_24_32.params", tmp_path / "out") == []
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.torch
def test_the_check_sees_torch() -> None:
    assert "torch" in loaded_by("import bort_convert, torch")


def test_the_check_sees_any_of_them(tmp_path: Path) -> None:
    for name in (*HEAVY, *LAZY):
        (tmp_path / f"{name}.py").touch()
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport bort_convert, {', '.join((*HEAVY, *LAZY))}"
    assert loaded_by(program) == sorted((*HEAVY, *LAZY))


def test_a_public_name_is_imported_when_it_is_first_used() -> None:
    program = """
import sys
import bort_convert
print(*sorted(name for name in sys.modules if name.startswith(("numpy", "bort_convert."))))
bort_convert.inspect
print("bort_convert.commands.inspect" in sys.modules, "bort_convert.verification" in sys.modules)
try:
    bort_convert.nonsense
except AttributeError as error:
    print(error)
"""
    assert run(program).splitlines() == [
        "bort_convert.public_names bort_convert.version",
        "True False",
        "module 'bort_convert' has no attribute 'nonsense'",
    ]


def test_a_public_name_stays_what_it_is_whatever_modules_are_imported() -> None:
    program = """
import pkgutil
import sys
import bort_convert
before = {name: getattr(bort_convert, name) for name in bort_convert.__all__}
import bort_convert.verification.verifier, bort_convert.commands.check, bort_convert.commands.convert
import bort_convert.verification as v
assert before == {name: getattr(bort_convert, name) for name in bort_convert.__all__}
assert not any(isinstance(value, type(sys)) for value in before.values())
assert set(bort_convert.__all__) <= set(dir(bort_convert))
print(v.verify is bort_convert.verify, type(bort_convert.commands.check) is type(sys))
"""
    assert run(program) == "True True\n"


def test_the_names_that_type_checkers_see_are_the_public_ones() -> None:
    stub = Path(bort_convert.__file__).with_suffix(".pyi").read_text("utf-8")
    imported = {
        alias.name
        for node in ast.walk(ast.parse(stub))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if vars(importlib.import_module(str(node.module)))[alias.name] is getattr(bort_convert, alias.name)
    }
    assert imported == set(bort_convert.__all__)


def test_headers_are_read_and_fitted_without_numpy_which_the_first_array_loads(fixtures: Path) -> None:
    program = """
import sys
import bort_convert.cli.checkpoints, bort_convert.commands.convert
from bort_convert.models.registry import fit_source
with bort_convert.open_params(sys.argv[1]) as params:
    fit_source(params.specs, family="bort", heads=8)
    print("numpy" in sys.modules)
    params["decoder.0.bias"]
    print("numpy" in sys.modules)
"""
    assert run(program, fixtures / "bort_4_8_24_32.params").split() == ["False", "True"]
