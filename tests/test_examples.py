"""Every public name has an example in its docstring, and it does what it shows.

An example finds `bort_convert` imported and the folder `fixtures` beside it; what it writes is its own.
"""

from __future__ import annotations

import ast
import doctest
import inspect
from itertools import pairwise
from pathlib import Path

import pytest

import bort_convert

ROOT = Path(__file__).parents[1]
CONSTANTS = {"__version__": "version.py", "MAX_ARRAYS": "params/info.py"}
NEEDS = {"record": "mxnet"} | dict.fromkeys(
    ("load_pretrained", "verify", "verify_published", "Report", "InputError", "ParityError"), "torch"
)


def docstring_of(name: str) -> str:
    """Docstring of a public name; that of a constant stands below it."""
    if name not in CONSTANTS:
        return inspect.getdoc(getattr(bort_convert, name)) or ""
    body = ast.parse((ROOT / "bort_convert" / CONSTANTS[name]).read_text("utf-8")).body
    for node, below in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return str(ast.literal_eval(below.value)) if isinstance(below, ast.Expr) else ""
    return ""


def names_on_the_site() -> list[str]:
    """Public names in the groups of docs/_site/api.py."""
    body = ast.parse((ROOT / "docs" / "_site" / "api.py").read_text("utf-8")).body
    (groups,) = (
        node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GROUPS"
    )
    return " ".join(ast.literal_eval(groups).values()).split()


def test_every_public_name_has_a_place_on_the_site() -> None:
    assert sorted(names_on_the_site()) == sorted(bort_convert.__all__), "docs/_site/api.py, GROUPS"


def run(name: str, docstring: str) -> tuple[int, str]:
    """Number of statements of a docstring's examples, and what goes wrong."""
    test = doctest.DocTestParser().get_doctest(docstring, {"bort_convert": bort_convert}, name, None, None)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    return len(test.examples), "".join(said)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=getattr(pytest.mark, NEEDS[name])) if name in NEEDS else name
        for name in bort_convert.__all__
    ],
)
def test_the_example_of_a_public_name_does_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    docstring = docstring_of(name)
    assert "\nExamples:\n" in docstring
    statements, wrong = run(name, docstring)
    assert statements, "no statement"
    assert not wrong, wrong


def test_an_example_that_does_something_else_is_found() -> None:
    assert run("x", "Examples:\n    >>> bort_convert.MAX_ARRAYS\n    1\n")[1]
    assert run("x", "Examples:\n    >>> 1 + 1\n    2\n") == (1, "")
