"""The public names: the same for the runtime and for type checkers, whatever is imported in which order."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bort_convert
import bort_convert.verification
from bort_convert import errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bort_convert"
# Scripts that need MXNet, and the command line, which runs when it is imported.
SCRIPTS = ("bort_convert.verification.mxnet_process.", "bort_convert.__main__")


def packages() -> list[str]:
    names = (path.parent.relative_to(ROOT) for path in PACKAGE.rglob("__init__.py"))
    return sorted(".".join(name.parts) for name in names)


def run(program: str) -> str:
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


# Names


def test_dir_lists_every_public_name_before_one_is_used() -> None:
    program = "import bort_convert; print(*set(bort_convert.__all__) - set(dir(bort_convert)))"
    assert run(program).split() == []


def test_a_star_import_gives_the_public_names() -> None:
    program = """
import bort_convert
names = {}
exec("from bort_convert import *", names)
del names["__builtins__"]
print(set(names) == set(bort_convert.__all__), all(names[name] is getattr(bort_convert, name) for name in names))
"""
    assert run(program).split() == ["True", "True"]


IMPORT_ALL = f"""
import importlib, pkgutil
import bort_convert

def import_all():
    for module in pkgutil.walk_packages(bort_convert.__path__, "bort_convert."):
        if not module.name.startswith({SCRIPTS!r}):
            importlib.import_module(module.name)
"""
CHECK_NAMES = """
for module, names in bort_convert._PUBLIC.items():
    for name in names.split():
        assert getattr(bort_convert, name) is getattr(importlib.import_module(f"bort_convert.{module}"), name), name
"""


@pytest.mark.torch
@pytest.mark.parametrize("order", [f"{CHECK_NAMES}import_all()\n{CHECK_NAMES}", f"import_all()\n{CHECK_NAMES}"])
def test_no_import_of_a_module_changes_a_public_name(order: str) -> None:
    assert run(f"{IMPORT_ALL}{order}") == ""


@pytest.mark.parametrize("name", packages())
def test_no_public_name_of_a_package_is_the_name_of_one_of_its_modules(name: str) -> None:
    if name.startswith(SCRIPTS):
        return
    package = importlib.import_module(name)
    public = getattr(package, "__all__", None) or [
        key for key, value in vars(package).items() if not key.startswith("_") and not isinstance(value, ModuleType)
    ]
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert modules.isdisjoint(public)


def test_public_functions_and_classes_can_be_pickled() -> None:
    for name in bort_convert.__all__:
        value = getattr(bort_convert, name)
        assert pickle.loads(pickle.dumps(value)) is value or not callable(value), name  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "error",
    [
        errors.OptionError("heads", 7, "does not divide"),
        errors.OptionError("target", Path("x"), "expected another ending"),
        errors.VariantError("not known", missing=("heads",), candidates=("bert",)),
        errors.MappingError("no table fits", ["a: found nothing"]),
        errors.FormatError("damaged"),
    ],
)
def test_errors_come_back_whole_from_another_process(error: errors.ConvertError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


# Type checkers

GOOD = """\
import bort_convert
import bort_convert.verification as v
from bort_convert import Inspection, Manifest, ReferenceOptions, Report, TokenizerOptions, Trace

manifest: Manifest = bort_convert.convert(
    "a.params",
    "out",
    family="bort",
    dtype="float16",
    problem_type="regression",
    labels=["yes"],
    tokenizer_options=TokenizerOptions(vocab="x", lower_case=True),
    verify=True,
)
bort_convert.convert("a.params", "out", verify=bort_convert.verify, producer="0.9.1")
report: Report = bort_convert.verify(
    "a.params", "out", dtype="both", device="cuda", reference_options=ReferenceOptions(timeout=60)
)
trace: Trace = bort_convert.record("a.params", "t", family="bort", dtype="float64")
inspection: Inspection = bort_convert.inspect("a.params", family="gpt2")
bort_convert.export("out", "back.params", names="prefix")
bort_convert.add_tokenizer("out", tokenizer_options=TokenizerOptions(vocab="x"))
number: int = inspection.parameters + manifest.parameters + len(bort_convert.families())
"""
REVEALED = {
    "bort_convert.convert": "def (source: ",
    "bort_convert.inspect": "def (source: ",
    "bort_convert.verify": "def (reference: ",
    "v.verify": "def (reference: ",
    "v.record": "def (source: ",
    "bort_convert.check('out').problems": "tuple[str, ...]",
    "bort_convert.verify('a', 'b').passed": "bool",
    "bort_convert.inspect('a').misfit": "bort_convert.errors.ConvertError | None",
}
# Each is a type error for mypy, and an OptionError when it runs. SOURCE is a Bort, OUT its conversion.
WRONG = (
    "bort_convert.convert(SOURCE, NEW, family='llama')",
    "bort_convert.convert(SOURCE, NEW, family='bort', heads='8')",
    "bort_convert.convert(SOURCE, NEW, family='bort', heads=8, dtype='int8')",
    "bort_convert.convert(SOURCE, NEW, family='bort', heads=8, problem_type='ranking')",
    "bort_convert.export(OUT, NEW, names='short')",
    "bort_convert.export(OUT, NEW, family='llama')",
    "bort_convert.verify(SOURCE, OUT, dtype='float16')",
    "bort_convert.verify(SOURCE, OUT, device='tpu')",
    "bort_convert.record(SOURCE, NEW, family='llama')",
)


def mypy_messages(program: str, folder: Path) -> dict[int, list[str]]:
    """Run mypy on a user's file, and return its messages by line."""
    (folder / "user.py").write_text(program, "utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        str(folder / "cache"),
    ]
    process = subprocess.run(
        [*command, "--config-file=", "--python-version", "3.10", "--ignore-missing-imports", "user.py"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    messages: dict[int, list[str]] = {}
    for line in process.stdout.splitlines():
        if line.startswith("user.py:"):
            _, number, message = line.split(":", 2)
            messages.setdefault(int(number), []).append(message.strip())
    assert not process.stderr
    assert "Found" in process.stdout or "Success" in process.stdout, process.stdout
    return messages


def test_mypy_sees_what_the_runtime_sees(fixtures: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    shown = [f"reveal_type({expression})\n" for expression in REVEALED]
    paths = "SOURCE = OUT = NEW = 'x'\n"
    wrong = [f"{call}\n" for call in WRONG]
    messages = mypy_messages("".join((GOOD, *shown, paths, *wrong)), tmp_path)
    start = GOOD.count("\n")
    assert {number: text for number, text in messages.items() if number <= start} == {}
    for number, (expression, expected) in enumerate(REVEALED.items(), start + 1):
        (message,) = messages[number]
        assert f'Revealed type is "{expected}' in message, expression
    for number, call in enumerate(WRONG, start + len(REVEALED) + 2):
        assert any("error: Argument" in message for message in messages.get(number, ())), call

    for name in ("convert", "inspect", "verify", "check", "record"):
        assert inspect.isfunction(getattr(bort_convert, name))
    assert inspect.isfunction(bort_convert.verification.verify)
    names: dict[str, Any] = {"bort_convert": bort_convert, "SOURCE": fixtures / "bort_4_8_24_32.params"}
    names |= {"OUT": tmp_path / "out", "NEW": tmp_path / "new"}
    bort_convert.convert(names["SOURCE"], names["OUT"], family="bort", heads=8)
    for call in WRONG:
        with pytest.raises(errors.OptionError):
            eval(call, names)  # noqa: S307 - our own text
