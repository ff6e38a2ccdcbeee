"""Build the wheel and the source archive with the setuptools that is here."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from environment import unmeasured

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def build(archive: str, project: Path, folder: Path) -> Path:
    """Build an archive of a project as `python -m build` does.

    Args:
        archive: "wheel" or "sdist".
        project: folder with the project, which gets files of setuptools'.
        folder: folder for the archive, without another of its kind.
    """
    command = [sys.executable, "-c", _PROGRAM, f"build_{archive}", str(folder)]
    process = subprocess.run(command, cwd=project, env=unmeasured(), check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    (path,) = folder.glob("*.whl" if archive == "wheel" else "*.tar.gz")
    return path
