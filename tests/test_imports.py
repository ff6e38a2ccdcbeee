"""The main job loads neither torch nor MXNet: a program of its own converts, then looks at what it has imported."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import bort_convert

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "mxnet", "gluonnlp", "matplotlib")
REPORT = f"""
import sys
print("loaded:", *sorted(set({HEAVY!r}) & set(sys.modules)))
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


def loaded_by(program: str, *arguments: object) -> list[str]:
    """Which of the heavy modules a program has loaded at its end."""
    command = [sys.executable, "-c", program + REPORT, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1].removeprefix("loaded:").split()


def test_importing_the_package_imports_no_framework() -> None:
    assert loaded_by("import bort_convert") == []


def test_a_whole_conversion_imports_no_framework(fixtures: Path, tmp_path: Path) -> None:
    assert loaded_by(CONVERSION, fixtures / "bort_4_8_24_32.params", tmp_path / "out") == []
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.torch
def test_the_check_sees_torch() -> None:
    assert "torch" in loaded_by("import bort_convert, torch")


def test_the_check_sees_any_of_them(tmp_path: Path) -> None:
    for name in HEAVY:
        (tmp_path / f"{name}.py").touch()
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport bort_convert, {', '.join(HEAVY)}"
    assert loaded_by(program) == sorted(HEAVY)


def test_what_draws_and_what_knows_bfloat16_is_loaded_only_when_met() -> None:
    program = "import bort_convert.cli, sys; print(*(name for name in ('rich', 'ml_dtypes') if name in sys.modules))"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == ""


def test_a_public_name_is_imported_when_it_is_asked_for_and_stays_what_it_is() -> None:
    program = """
import sys
import bort_convert
print(*sorted(name for name in sys.modules if name.startswith(("numpy", "bort_convert."))))
from bort_convert.convert import fit_source
from bort_convert.verify import trace
import bort_convert.commands.check
for name in bort_convert.__all__:
    assert not isinstance(getattr(bort_convert, name), type(sys)), name
assert set(bort_convert.__all__) <= set(dir(bort_convert))
try:
    bort_convert.nonsense
except AttributeError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines() == [
        "bort_convert.version",
        "module 'bort_convert' has no attribute 'nonsense'",
    ]


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


def test_everything_up_to_the_first_computed_value_is_done_without_numpy(fixtures: Path) -> None:
    program = """
import sys
import bort_convert.cli.checkpoints, bort_convert.commands.convert
from bort_convert.convert import fit_source
with bort_convert.open_params(sys.argv[1]) as params:
    fit_source(params.specs, family="bort", heads=8)
    print("numpy" in sys.modules)
    params["decoder.0.bias"]
    print("numpy" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(fixtures / "bort_4_8_24_32.params")]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False", "True"]
