"""Places and files that no command replaces, and the directories that `--force` is for."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert.cli import main
from bort_convert.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
CHECKPOINT = FIXTURES / "bort_4_8_24_32.params"
BY_RELEASE_0_1 = FIXTURES / "converted_by_0.1"
FIT = ("--family", "bort", "--heads", "8")
VOCABULARY = ("--vocab", str(FIXTURES / "tiny.vocab"), "--bpe-ranks", str(FIXTURES / "tiny_ranks.txt"))

posix = pytest.mark.skipif(os.name != "posix", reason="needs a mount point, a pipe or links")


@dataclass(frozen=True)
class Victim:
    """A folder of a user, with a converted directory in it that holds the current directory.

    Attributes:
        folder: the user's folder.
        out: the converted directory.
        source: the checkpoint.
    """

    folder: Path
    out: Path
    source: Path

    def arguments(self, command: str, target: str | Path) -> list[str]:
        """The command line that would write to a target, with `--force` where the command has it."""
        source, name = str(self.source), str(target)
        return {
            "convert": [source, name, *FIT, "--force"],
            "extract": ["extract", source, name, "--force"],
            "export": ["export", str(self.folder / "plain.npz"), name, "--force"],
            "record": ["record", source, name, *FIT, "--force"],
            "tokenizer": ["tokenizer", name, *VOCABULARY],
        }[command]

    def call(self, command: str, target: str | Path) -> object:
        """Call the function of a command from Python."""
        if command == "convert":
            return bort_convert.convert(self.source, target, family="bort", heads=8, force=True)
        if command == "extract":
            return bort_convert.extract(self.source, target, force=True)
        if command == "export":
            return bort_convert.export(self.folder / "plain.npz", target, force=True)
        if command == "record":
            return bort_convert.record(self.source, target, family="bort", heads=8, force=True)
        return bort_convert.add_tokenizer(target, vocab=FIXTURES / "tiny.vocab", bpe_ranks=FIXTURES / "tiny_ranks.txt")


DIRECTORY_COMMANDS = ("convert", "tokenizer")
FILE_COMMANDS = ("extract", "export", "record")


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Inode and bytes of everything in a folder, and the inode of the folder."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path): (path.lstat().st_ino, path.read_bytes() if path.is_file() else None) for path in paths}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "out"
    bort_convert.convert(CHECKPOINT, out, family="bort", heads=8)
    return out


@pytest.fixture
def victim(converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Victim:
    """Every directory has a manifest and the ending of an archive: its place alone protects it."""
    folder = tmp_path / "folder.npz"
    for name in ("plain.npz", "other.npz", "out.npz"):
        shutil.copytree(converted, folder / name)
    out = folder / "out.npz"
    (out / "here.npz").mkdir()
    (folder / "code").mkdir()
    (folder / "code" / "main.py").write_text("work")
    (folder / "thesis.txt").write_text("years of work")
    (folder / "link").symlink_to(out / "here.npz", target_is_directory=True)
    shutil.copyfile(converted / "conversion.json", folder / "conversion.json")
    monkeypatch.chdir(out / "here.npz")
    return Victim(folder, out, CHECKPOINT)


PLACES: dict[str, tuple[Callable[[Victim], str | Path], str]] = {
    "an empty name": (lambda _: "", "the name of the output is empty; expected a path. Is a shell variable not set?"),
    "the current directory": (lambda _: ".", "is the current directory, and is never replaced. Go outside of it and"),
    "a slash behind it": (lambda _: "./", "is the current directory"),
    "its parent": (lambda _: "..", "holds the current directory"),
    "there and back": (lambda victim: victim.out / "here.npz" / "..", "holds the current directory"),
    "the parent of another": (lambda victim: victim.folder / "code" / "..", "holds the current directory"),
    "dots alone": (
        lambda victim: victim.folder / "other.npz" / "none" / "..",
        "ends in '..'; a directory is replaced by",
    ),
    "the current directory by name": (lambda victim: victim.out / "here.npz", "is the current directory"),
    "its parent by name": (lambda victim: victim.out, "holds the current directory"),
    "a folder above": (lambda victim: victim.folder, "holds the current directory"),
    "the root": (lambda _: "/", "is the root of a file system, and is never replaced. Give a name inside it"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", [*DIRECTORY_COMMANDS, *FILE_COMMANDS])
def test_a_place_is_never_replaced_by_the_command_line(victim: Victim, command: str, place: str) -> None:
    target, message = PLACES[place]
    before = tree(victim.folder)
    result = CliRunner().invoke(main, victim.arguments(command, target(victim)))
    assert tree(victim.folder) == before
    refused_for_its_ending = command == "extract" and place == "the root"
    assert result.exit_code == (2 if refused_for_its_ending else 4), result.output
    if command in DIRECTORY_COMMANDS or place == "an empty name":
        assert message in result.output
    else:
        messages = ("is a directory; expected a file", "holds the source", "expected a name that ends in")
        assert any(message in result.output for message in messages)
    assert Path.cwd() == victim.out / "here.npz"


@pytest.mark.parametrize("target", ["", ".", Path(), Path("..")])
@pytest.mark.parametrize("command", [*DIRECTORY_COMMANDS, *FILE_COMMANDS])
def test_a_place_is_never_replaced_from_python(victim: Victim, command: str, target: str | Path) -> None:
    before = tree(victim.folder)
    with pytest.raises(OutputError):
        victim.call(command, target)
    assert tree(victim.folder) == before


@pytest.mark.parametrize("command", DIRECTORY_COMMANDS)
@pytest.mark.parametrize("said_by", ["the environment", "the users' database", "the database for its owner"])
def test_a_home_and_a_folder_above_it_are_never_replaced(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, said_by: str
) -> None:
    above = shutil.copytree(converted, tmp_path / "above")
    home = shutil.copytree(converted, above / "home")
    (tmp_path / "link").symlink_to(home, target_is_directory=True)
    victim = Victim(home, home, CHECKPOINT)
    if said_by == "the environment":
        monkeypatch.setenv("HOME", str(tmp_path / "link"))
    else:
        pwd = pytest.importorskip("pwd")
        owner = home.stat().st_uid
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
        known = owner if said_by == "the database for its owner" else owner + 1
        entry = {known: pwd.struct_passwd(["me", "x", 1, 1, "", str(home), ""])}
        monkeypatch.setattr(pwd, "getpwuid", entry.__getitem__)
    before = tree(above)
    for target, message in ((home, "is a home directory"), (above, "holds a home directory")):
        result = CliRunner().invoke(main, victim.arguments(command, target))
        assert (result.exit_code, tree(above)) == (4, before), result.output
        assert f"{target} {message}, and is never replaced. Give a name inside it" in result.output


@posix
def test_a_mount_point_is_never_replaced(victim: Victim) -> None:
    result = CliRunner().invoke(main, victim.arguments("convert", "/dev"))
    assert result.exit_code == 4
    assert "/dev is where a file system is mounted, and cannot be replaced" in result.output


def test_a_converted_directory_that_is_a_mount_point_is_never_replaced(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = victim.folder / "plain.npz"
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == out)
    before = tree(victim.folder)
    for command in DIRECTORY_COMMANDS:
        result = CliRunner().invoke(main, victim.arguments(command, out))
        assert (result.exit_code, tree(victim.folder)) == (4, before)
        assert f"{out} is where a file system is mounted, and cannot be replaced" in result.output


@posix
def test_the_source_and_its_folders_are_never_replaced(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(converted, tmp_path / "above" / "out.npz")
    (tmp_path / "above" / "real.npz").write_bytes(CHECKPOINT.read_bytes())
    (out / "link.npz").symlink_to(tmp_path / "above" / "real.npz")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    for source in ("above/out.npz/link.npz", "above/real.npz"):
        for target in ("above/out.npz/link.npz", "above/real.npz", "above", *(["above/out.npz"] * ("out" in source))):
            for command in ("convert", "extract", "record"):
                victim = Victim(tmp_path, out, Path(source))
                result = CliRunner().invoke(main, victim.arguments(command, target))
                refused_for_its_ending = command == "extract" and target == "above"
                assert result.exit_code == (2 if refused_for_its_ending else 4), result.output
                assert refused_for_its_ending or "holds the source" in result.output or "is inside" in result.output
                assert tree(tmp_path) == before


def test_a_directory_that_no_conversion_wrote_is_kept_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "code").mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    before = tree(folder)
    result = CliRunner().invoke(main, [str(CHECKPOINT), str(folder), *FIT, "--force"])
    assert (result.exit_code, tree(folder)) == (4, before)
    assert result.output == (
        f"Error: {folder} holds code/ and 1 more, which no conversion wrote. Empty it by hand, or choose another name\n"
    )
    shutil.rmtree(folder / "code")
    with pytest.raises(OutputError, match=r"holds thesis.txt, which no conversion wrote"):
        bort_convert.convert(CHECKPOINT, folder, family="bort", heads=8, force=True)


def edit_config(out: Path) -> None:
    (out / "config.json").write_text("{}", "utf-8")


def delete_weights(out: Path) -> None:
    (out / "model.safetensors").unlink()


@pytest.mark.parametrize("change", [lambda _: None, edit_config, delete_weights])
def test_a_converted_directory_is_replaced_also_where_its_own_files_were_edited(
    converted: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    out = shutil.copytree(converted, tmp_path / "out")
    change(out)
    result = CliRunner().invoke(main, [str(CHECKPOINT), str(out), *FIT, *VOCABULARY, "--force"])
    assert result.exit_code == 0, result.output
    assert bort_convert.check(out)
    assert (out / "tokenizer.json").exists()


def test_a_directory_of_release_0_1_is_replaced(tmp_path: Path) -> None:
    folders = [path.parent for path in BY_RELEASE_0_1.rglob("conversion.json")]
    out = shutil.copytree(folders[0], tmp_path / "out")
    bort_convert.convert(CHECKPOINT, out, family="bort", heads=8, force=True)
    assert bort_convert.check(out)


def add_file(out: Path) -> str:
    (out / "notes\x1b[31m.txt").write_text("mine")
    return r"notes\x1b[31m.txt"


def add_hidden_file(out: Path) -> str:
    (out / ".env").write_text("mine")
    return ".env"


def add_folder(out: Path) -> str:
    (out / "checkpoint-100").mkdir()
    (out / "checkpoint-100" / "model.safetensors").write_text("mine")
    return "checkpoint-100/"


def add_folder_of_a_listed_name(out: Path) -> str:
    (out / "README.md").unlink()
    (out / "README.md").mkdir()
    (out / "README.md" / "thesis.txt").write_text("mine")
    return "README.md/"


def damage_manifest(out: Path) -> str:
    (out / "conversion.json").write_text("{}", "utf-8")
    return "a conversion.json that cannot be read"


def lose_manifest(out: Path) -> str:
    (out / "conversion.json").unlink()
    return "README.md and 2 more"


@pytest.mark.parametrize(
    "change",
    [add_file, add_hidden_file, add_folder, add_folder_of_a_listed_name, damage_manifest, lose_manifest],
)
def test_a_converted_directory_with_anything_else_in_it_is_kept(
    converted: Path, tmp_path: Path, change: Callable[[Path], str]
) -> None:
    out = shutil.copytree(converted, tmp_path / "out")
    named = change(out)
    before = tree(out)
    result = CliRunner().invoke(main, [str(CHECKPOINT), str(out), *FIT, "--force"])
    assert (result.exit_code, tree(out)) == (4, before)
    assert result.output == (
        f"Error: {out} holds {named}, which no conversion wrote. Empty it by hand, or choose another name\n"
    )


def test_a_file_that_appears_while_a_conversion_runs_is_kept(converted: Path, tmp_path: Path) -> None:
    out = shutil.copytree(converted, tmp_path / "out")

    def add(*_: int) -> None:
        add_folder(out)
        add.called = True  # type: ignore[attr-defined]

    def add_once(*numbers: int) -> None:
        if not hasattr(add, "called"):
            add(*numbers)

    with pytest.raises(OutputError, match="holds checkpoint-100/, which no conversion wrote"):
        bort_convert.convert(CHECKPOINT, out, family="bort", heads=8, force=True, progress=add_once)
    assert (out / "checkpoint-100" / "model.safetensors").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_current_directory_is_filled_where_it_is_empty_and_nothing_is_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for arguments, status in ((["", *FIT], 4), ([".", *FIT, "--force"], 4), ([".", *FIT], 0)):
        assert CliRunner().invoke(main, [str(CHECKPOINT), *arguments]).exit_code == status
    assert bort_convert.check(tmp_path / "here")


def test_a_tokenizer_replaces_no_file_that_no_conversion_wrote(converted: Path, tmp_path: Path) -> None:
    out = shutil.copytree(converted, tmp_path / "out")
    shutil.copyfile(FIXTURES / "tiny.vocab", out / "vocab.json")
    before = tree(out)
    with pytest.raises(OutputError, match=r"out holds vocab.json, which no conversion wrote. Move it away first"):
        bort_convert.add_tokenizer(out, vocab=out / "vocab.json", bpe_ranks=FIXTURES / "tiny_ranks.txt")
    assert tree(out) == before
    (out / "vocab.json").rename(out / "notes.json")
    bort_convert.add_tokenizer(out, vocab=out / "notes.json", bpe_ranks=FIXTURES / "tiny_ranks.txt")
    assert (out / "notes.json").read_bytes() == (FIXTURES / "tiny.vocab").read_bytes()


def test_a_file_that_appears_while_a_tokenizer_is_added_is_kept(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(converted, tmp_path / "out")
    finish = bort_convert.commands.tokenizer.finish  # type: ignore[attr-defined]

    def add_and_finish(*arguments: object) -> object:
        (out / "thesis.txt").write_text("years of work")
        return finish(*arguments)

    monkeypatch.setattr("bort_convert.commands.tokenizer.finish", add_and_finish)
    with pytest.raises(OutputError, match=r"out holds thesis.txt, which was not there before. Try again"):
        bort_convert.add_tokenizer(out, vocab=FIXTURES / "tiny.vocab", bpe_ranks=FIXTURES / "tiny_ranks.txt")
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("command", FILE_COMMANDS)
@pytest.mark.parametrize("inside", ["model.npz", "checkpoint-100/model.npz"])
def test_a_file_inside_of_a_converted_directory_is_never_replaced(victim: Victim, command: str, inside: str) -> None:
    (victim.folder / "conversion.json").unlink()
    path = victim.out / inside
    path.parent.mkdir(exist_ok=True)
    path.write_text("trained for days")
    (victim.folder / "link.npz").symlink_to(victim.out, target_is_directory=True)
    before = tree(victim.folder)
    for target in (path, victim.folder / "link.npz" / inside):
        result = CliRunner().invoke(main, victim.arguments(command, target))
        assert (result.exit_code, tree(victim.folder)) == (4, before)
        expected = f"Error: {target} is inside {victim.out}, a converted directory. Choose a place outside of it\n"
        assert result.output == expected


@posix
@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_pipe_is_never_replaced(tmp_path: Path, converted: Path, command: str) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    victim = Victim(converted.parent, converted, CHECKPOINT)
    arguments = victim.arguments(command, tmp_path / "pipe.npz")
    if command == "export":
        arguments[1] = str(converted)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 4
    assert "pipe.npz is a device or a pipe; expected a file, or nothing. Choose another name" in result.output
    assert (tmp_path / "pipe.npz").is_fifo()


@posix
@pytest.mark.parametrize(
    ("command", "name", "status", "message"),
    [
        ("convert", "loop", 4, "loop is a link; expected a directory, or nothing. Give the name that it points to"),
        (
            "convert",
            "loop/out",
            4,
            "loop/out: cannot be written: File exists. Its folder is a file, or a link that leads nowhere",
        ),
        (
            "extract",
            "loop/x.npz",
            4,
            "x.npz: cannot be written: File exists. Its folder is a file, or a link that leads nowhere",
        ),
        (
            "export",
            "loop/x.params",
            4,
            "x.params: cannot be written: File exists. Its folder is a file, or a link that leads nowhere",
        ),
        (
            "record",
            "loop/x",
            4,
            "x: cannot be written: File exists. Its folder is a file, or a link that leads nowhere",
        ),
        ("tokenizer", "loop", 3, "cannot be read"),
    ],
)
def test_a_link_to_itself_ends_in_one_message(  # noqa: PLR0917 - four of them are one case
    converted: Path, tmp_path: Path, command: str, name: str, status: int, message: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    shutil.copytree(converted, tmp_path / "plain.npz")
    victim = Victim(tmp_path, tmp_path, CHECKPOINT)
    result = CliRunner().invoke(main, victim.arguments(command, tmp_path / name))
    assert result.exit_code == status
    assert message in result.output
    assert result.output.count("\n") == 1
    assert (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize("name", ["x" * 300, "x" * 240])
@pytest.mark.parametrize("command", ["convert", "extract", "record"])
def test_a_name_that_is_too_long_for_the_system_ends_in_one_message(tmp_path: Path, command: str, name: str) -> None:
    victim = Victim(tmp_path, tmp_path, CHECKPOINT)
    result = CliRunner().invoke(main, victim.arguments(command, tmp_path / f"{name}.npz"))
    assert result.exit_code == 4
    assert "cannot be written: File name too long. Choose a shorter name; the name under which" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["check", "LONG"], ["export", "LONG", "x"], ["verify", str(CHECKPOINT), "LONG"]])
def test_a_directory_whose_name_is_too_long_is_no_directory(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, [word.replace("LONG", "x" * 300) for word in arguments])
    assert result.exit_code == 3
    assert "x: is no directory; expected one that" in result.output


def test_labels_that_are_too_long_for_a_file_name_are_labels(tmp_path: Path) -> None:
    labels = ",".join(f"label number {number}" + "x" * 100 for number in range(3))
    source = FIXTURES / "bort_4_8_24_32-classifier3.params"
    result = CliRunner().invoke(main, [str(source), str(tmp_path / "out"), *FIT, "--labels", labels])
    assert result.exit_code == 0, result.output
