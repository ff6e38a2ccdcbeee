from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from bort_convert import cli, open_params
from bort_convert.cli.flags import PYTHON_ALONE, as_flags

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "bort_convert"
LIBRARY = {
    path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "cli"
}
OTHER_PROGRAMS = {
    "verification/mxnet_process/run.py",  # a script with a command line of its own
    "workers/cluster.py",  # has the flags of Ray's program
}
FLAG = re.compile(r"(?<![\w-])--[a-z]")
ARGUMENT = re.compile(r"`([a-z_]+)=[^`]*`")


def context(command: str) -> click.Context:
    program = click.Context(cli.main, info_name="bort-convert")
    found = cli.main.get_command(program, command)
    assert found is not None
    return click.Context(found, info_name=command, parent=program)


@pytest.mark.parametrize(
    ("command", "message", "rewritten"),
    [
        ("convert", "`heads=7`: does not divide", "--heads 7: does not divide"),
        ("convert", "Pass `heads=...`", "Pass --heads N"),
        ("convert", "Pass `family=...`", "Pass --family NAME"),
        ("convert", "Pass `vocab` or `tokenizer`", "Pass --vocab or --tokenizer"),
        ("convert", "Pass `force=True` to replace it", "Pass --force to replace it"),
        ("convert", "`checksums=False`", "--no-checksums"),
        ("convert", "`checksums=True`", "--checksums"),
        ("convert", "`lower_case=True` or `lower_case=False`", "--lower-case or --cased"),
        ("convert", "`gluonnlp_version='0.10'`", "--gluonnlp-version 0.10"),
        ("convert", "`labels=['a', 'b c']`", "--labels 'a,b c'"),
        ("convert", r"`license='\x1b[31m'`", r"--license '\x1b[31m'"),
        ("convert", "`strict=False`", "no --strict"),
        ("convert", "`hyperparameters={'hidden_act': 'gelu'}`: no", "--set hidden_act=gelu: no"),
        ("record", "`hyperparameters={'a': 1e-05, 'b': 'x y', 'c': True}`", "--set a=1e-05 --set 'b=x y' --set c=true"),
        ("check", "`hyperparameters=...` says otherwise", "--set NAME=VALUE says otherwise"),
        ("convert", r"`hyperparameters={'a': '\x1b[31m'}`", r"--set 'a=\x1b[31m'"),
        ("export", "`names='prefix'`", "--names prefix"),
        ("verify", "convert with `gluonnlp_version='0.10'`", "convert with --gluonnlp-version 0.10"),
        ("check", "no digests (`checksums=False`)", "no digests (--no-checksums)"),
        ("check", "as `verify` and `convert` do", "as `verify` and `convert` do"),
        ("convert", "`mapped=False` and `units`", "`mapped=False` and `units`"),
        ("extract", "`target='out/x.bin'`: expected", "out/x.bin: expected"),
        ("check", "`source='x.params'`", "--source x.params"),
        ("convert", "`allow_trailing=True` ignores", "`open_params(..., allow_trailing=True)` in Python ignores"),
        ("convert", "no argument at all", "no argument at all"),
    ],
)
def test_arguments_become_the_flags_of_the_command(command: str, message: str, rewritten: str) -> None:
    assert as_flags(message, context(command)) == rewritten


def literals_of(source: str) -> Iterator[str]:
    """Every string of a module, docstrings and the parts of f-strings among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def messages_of(source: str) -> Iterator[str]:
    """Every string that is no docstring; an f-string as one, with `...` for each value in it."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.value


@pytest.mark.parametrize("path", sorted(LIBRARY.keys() - OTHER_PROGRAMS))
def test_the_library_knows_no_flags(path: str) -> None:
    assert [text for text in literals_of(LIBRARY[path]) if FLAG.search(text)] == []


@pytest.mark.parametrize("path", LIBRARY)
def test_every_argument_in_a_message_is_an_option_of_some_command(path: str) -> None:
    options = {
        option.name
        for name in cli.COMMANDS
        for option in context(name).command.params
        if isinstance(option, click.Option)
    }
    named = {match[1] for message in messages_of(LIBRARY[path]) for match in ARGUMENT.finditer(message)}
    assert named - options - PYTHON_ALONE == set()


def test_what_python_alone_has_is_an_argument_of_the_reader_and_of_no_command() -> None:
    assert inspect.signature(open_params).parameters.keys() >= PYTHON_ALONE


def test_both_rules_can_fail() -> None:
    source = 'def f():\n    "See `seed=1`."\n    raise E(f"pass --heads {n} or `head={n}`")'
    assert [text for text in literals_of(source) if FLAG.search(text)] == ["pass --heads "]
    assert [ARGUMENT.findall(message) for message in messages_of(source)] == [["head"]]
