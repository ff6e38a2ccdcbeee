from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import ShellComplete
from command_line import run

from bort_convert import cli

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = sorted(cli.COMMANDS)


def command_of(name: str) -> click.Command:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    return command


@pytest.mark.parametrize("options", [(), ("--family", "bort"), ("--dry-run", "-q")])
def test_the_default_command_is_convert(options: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*options, tmp_path / "missing.params", tmp_path / "out")
    assert (result.exit_code, result.stderr) == (3, f"Error: {tmp_path / 'missing.params'}: there is no such file\n")
    assert "convert [OPTIONS] SOURCE OUT" in run(*options, tmp_path / "missing.params").stderr
    assert run("--", "-missing", tmp_path / "out").stderr == "Error: -missing: there is no such file\n"


@pytest.mark.parametrize(
    ("word", "meant"), [("inspekt", "inspect"), ("famlies", "families"), ("verfiy", "verify"), ("Convert", "convert")]
)
def test_a_misspelt_command_is_named_with_the_one_that_is_meant(word: str, meant: str) -> None:
    for arguments in ((word,), (word, "x"), (word, "x", "out", "--force")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.endswith(f"there is no command and no file '{word}'; did you mean {meant}?\n")


@pytest.mark.parametrize("word", ["bort.params", "inspect.params", "q", "weights"])
def test_a_word_that_resembles_no_command_is_a_source(word: str, tmp_path: Path) -> None:
    result = run(word, tmp_path / "out")
    assert (result.exit_code, result.stderr) == (3, f"Error: {word}: there is no such file\n")


def test_an_existing_file_is_a_source_whatever_its_name(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inspekt").write_bytes((fixtures / "bort_4_8_24_32.params").read_bytes())
    assert run("inspekt", "out", "--family", "bort", "--heads", 8).exit_code == 0
    (tmp_path / "families").touch()
    assert run("families").exit_code == 0  # a command's own name is always the command
    assert run("./families", "out2").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json",), "Missing argument 'SOURCE'."),
        (("inspekt", "x", "--json"), "there is no command and no file 'inspekt'; did you mean inspect?"),
        (("inspect", "--json"), "Missing argument 'SOURCE'."),
        (("inspect", "x", "--json", "--heads", "0"), "Invalid value for '--heads': 0 is not in the range x>=1."),
        (("verify", "x", "--json"), "expected SOURCE and OUT"),
        (("record", "x", "y", "--json", "--layers", "a"), "Invalid value for --layers: 'a' is no list of numbers"),
    ],
)
def test_a_usage_error_is_json_where_json_was_asked_for(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "UsageError"
    assert error["message"].startswith(message)
    without = run(*(argument for argument in arguments if argument != "--json")) if len(arguments) > 1 else None
    assert without is None or (without.exit_code, without.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("ins", ["inspect"]),
        ("--ver", ["--version"]),
        ("inspect --val", ["--values"]),
        ("x.params out --dry", ["--dry-run"]),
        ("inspekt out --dry", ["--dry-run"]),
        ("--family bo", ["bort"]),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, completions: list[str]) -> None:
    *args, incomplete = words.split()
    found = ShellComplete(cli.main, {}, "bort-convert", "_BORT_CONVERT_COMPLETE").get_completions(args, incomplete)
    assert [completion.value for completion in found] == completions


def test_json_behind_two_dashes_is_a_file(tmp_path: Path) -> None:
    assert run("inspect", "--", "--json", tmp_path).stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    assert run(command, "--help").exit_code == 0
    found = command_of(command)
    assert found.help
    for parameter in found.params:
        assert parameter.param_type_name == "argument" or getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)])
def test_help_has_no_escapes_and_no_cut_sentences(arguments: tuple[str, ...]) -> None:
    text = run(*arguments, "--help").stdout
    assert "\\" not in text
    assert text.replace("\n", "").isprintable()
    assert not re.search(r"\w\.\.\.$", text, re.MULTILINE)


def test_the_help_lists_the_commands_and_the_exit_codes() -> None:
    lines = [line.split(maxsplit=1) for line in run("--help").stdout.splitlines()]
    assert [words[0] for words in lines if words and words[0] in cli.COMMANDS] == list(cli.COMMANDS)
    assert ["4", "the output cannot be written"] in lines
    assert run("-h").stdout == run("--help").stdout


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout.startswith("bort-convert, version ")


def test_the_words_producer_and_gluonnlp_version_are_one_option() -> None:
    for command in ("convert", "inspect", "record"):
        (option,) = (option for option in command_of(command).params if option.name == "gluonnlp_version")
        assert option.opts == ["--gluonnlp-version", "--producer"]
