"""Write the browser page, ready to be served: the page itself, Pyodide, and the wheels that it runs.

    python build.py FOLDER

The wheel of bort_convert is built from this tree. Pyodide comes from the package index of npm, as package-lock.json
says; click from the environment that runs this script.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
PYODIDE: Final = HERE / "node_modules" / "pyodide"
CORE: Final = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK: Final = "pyodide-lock.json"
SOURCES: Final = ("bort_convert", "pyproject.toml", "README.md", "LICENSE")
WHEELS: Final = "wheels.json"


def build(folder: Path) -> None:
    """Write all files of the page into a folder; other files in it stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    for source in (HERE / "page").iterdir():
        if source.is_file():
            shutil.copyfile(source, folder / source.name)
    copy_pyodide(folder / "pyodide")
    wheels = [build_wheel(folder), pack("click", folder)]
    (folder / WHEELS).write_text(json.dumps([wheel.name for wheel in wheels]), encoding="utf-8")


def copy_pyodide(folder: Path) -> None:
    """Copy the core of Pyodide; of its list of packages, which lie elsewhere, only what the core asks of it."""
    if not is_installed():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--omit=dev"], cwd=HERE, check=True, stdout=sys.stderr)  # noqa: S607 - npm is where PATH says
    folder.mkdir(exist_ok=True)
    for name in CORE:
        shutil.copyfile(PYODIDE / name, folder / name)
    lock = json.loads((PYODIDE / LOCK).read_text("utf-8"))
    (folder / LOCK).write_text(json.dumps({"info": lock["info"], "packages": {}}), encoding="utf-8")


def is_installed() -> bool:
    """True if the version of Pyodide in package.json is installed."""
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]["pyodide"]
    manifest = PYODIDE / "package.json"
    return manifest.exists() and json.loads(manifest.read_text("utf-8"))["version"] == wanted


def build_wheel(folder: Path) -> Path:
    """Build the wheel of bort_convert from a copy of its sources: what an earlier build left cannot get into it."""
    with tempfile.TemporaryDirectory() as temporary:
        copy, out = Path(temporary, "source"), Path(temporary, "wheel")
        copy.mkdir()
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, copy / name)
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "-w", str(out), str(copy)], check=True)  # noqa: S603 - our own sources
        (wheel,) = out.glob("*.whl")
        return Path(shutil.copyfile(wheel, folder / wheel.name))


def pack(package: str, folder: Path) -> Path:
    """Make a wheel of an installed package that is Python alone."""
    found = distribution(package)
    path = folder / f"{package}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(str(file.locate()), str(file))
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and one argument
        sys.exit(__doc__)
    build(Path(sys.argv[1]))
