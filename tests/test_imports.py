"""The main job loads neither torch nor MXNet: a program of its own converts, then looks at what it has imported."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

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
