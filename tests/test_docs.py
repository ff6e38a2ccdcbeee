"""The documentation says what happens: every command in it is run, and every output shown is compared.

In a ```console block, a line that starts with `$ ` is a command for the shell, and the lines below it are what a
person sees; a line of three dots stands for any lines. A command ends well: one that fails is shown with `|| echo`.
A ```python block runs in the same folder, after the blocks above it, and a ```text block right below it is its stdout;
one with a name, as in ```python migrate.py, is a file that later blocks use.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from readme_table import with_table

from bort_convert import cli

ROOT = Path(__file__).parent.parent
README, GUIDE, FORMAT, FAMILY, HEAD, FLEET, NETWORK, AGORA = PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("guide", "format", "adding-a-model", "your-own-head", "fleet", "another-network", "agora")
    ),
]
# What a reader runs to get here; `make` is what runs this test.
SET_UP = ("git ", "cd ", "pip ", "make ")
BLOCK = re.compile(r"^```(console|python)(?: (\S+))?\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
# What differs from machine to machine: rounding errors and where they are largest, seconds, megabytes, versions.
MEASURED = re.compile(
    r"\d(\.\d+)?e-\d+|\([a-z]+ \d+(, [a-z]+ \d+)*\)|[\d.,]+ (s|MB)\b|\b\d+\.\d+\.\d+\S*"
    r"|(limit|in) (layer \d+|embeddings|\w*logits)\b"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Step:
    """A command or a Python block, what the page shows of its output, and the file that it becomes, "" if it is run."""

    text: str
    shown: str
    is_python: bool = False
    file: str = ""


def steps_of(page: Path) -> list[Step]:
    """What a page has its reader do, in its order."""
    steps: list[Step] = []
    for kind, file, text, output in BLOCK.findall(page.read_text("utf-8")):
        if kind == "python":
            steps.append(Step(text, output, is_python=True, file=file))
        else:
            steps += [Step(command, shown) for command, shown in COMMAND.findall(text)]
    return [step for step in steps if not step.text.startswith(SET_UP)]


def run(step: Step, folder: Path) -> str:
    """What a person sees of a command, stdout and stderr together; of a Python block what it prints."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MXNET_HOME": str(folder / "no-cache"),
    }
    arguments = [sys.executable, "-c", step.text] if step.is_python else ["sh", "-c", step.text]
    stderr = subprocess.PIPE if step.is_python else subprocess.STDOUT
    process = subprocess.run(
        arguments, cwd=folder, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=stderr
    )
    whole = f"{step.text}\n{process.stdout}{process.stderr or ''}"
    assert process.returncode == 0, whole
    assert "Traceback" not in whole, whole
    return process.stdout


def level(text: str) -> str:
    """A text without what differs from machine to machine, and without the width of columns."""
    return re.sub(" +", " ", MEASURED.sub("#", text))


def matches(shown: str, actual: str) -> bool:
    """Whether an output is the one shown, line for line, with any lines where three dots stand."""
    escaped = re.sub(r"[\[*?]", r"[\g<0>]", level(shown))
    return fnmatch.fnmatchcase(level(actual), re.sub(r"^\.\.\.$\n", "*", escaped, flags=re.MULTILINE))


def local(link: str) -> str:
    """A link of the README's to a file of ours, which is absolute for package pages, as a path in the project."""
    ours = re.fullmatch(r"https://github\.com/bort-convert/bort_convert/(?:blob|tree)/main/(.*)", link)
    return ours[1] if ours else link


def heading_anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def models_bucket(s3: str) -> None:
    """A bucket `models` with two checkpoints, as the page has it."""
    assert s3
    import s3fs  # noqa: PLC0415 - few environments have it

    store = s3fs.S3FileSystem()
    store.mkdir("models")
    for name in ("bert_2_2_8_8.params", "gpt2_2_3_48_12.params"):
        store.put_file(str(ROOT / "fixtures" / name), f"models/2019/{name}")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(README, marks=(pytest.mark.mxnet, pytest.mark.torch), id="README.md"),
        pytest.param(GUIDE, marks=(pytest.mark.mxnet, pytest.mark.torch), id="guide.md"),
        pytest.param(FAMILY, id="adding-a-model.md"),
        pytest.param(NETWORK, id="another-network.md"),
        pytest.param(HEAD, marks=(pytest.mark.mxnet, pytest.mark.torch), id="your-own-head.md"),
        pytest.param(
            FLEET,
            marks=(pytest.mark.mxnet, pytest.mark.torch, pytest.mark.report, pytest.mark.remote, pytest.mark.long),
            id="fleet.md",
        ),
        pytest.param(
            AGORA, marks=(pytest.mark.mxnet, pytest.mark.torch, pytest.mark.report, pytest.mark.long), id="agora.md"
        ),
    ],
)
def test_every_command_of_a_page_runs_and_prints_what_is_shown(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if page == FLEET:
        request.getfixturevalue("models_bucket")
    for name in ("fixtures", "build"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    steps = steps_of(page)
    assert steps
    for step in steps:
        if step.file:
            (tmp_path / step.file).write_text(step.text, "utf-8")
            continue
        actual = run(step, tmp_path)
        assert not step.shown or matches(step.shown, actual), f"$ {step.text}\n{actual}"


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text("utf-8")
    for command in cli.COMMANDS:
        assert f"bort-convert {command}" in text or command == "convert", command


def test_the_table_of_families_in_the_readme_is_the_one_that_make_readme_writes() -> None:
    text = README.read_text("utf-8")
    assert with_table(text) == text, "make readme"
    assert with_table(text.replace("`RobertaModel`", "`BertModel`")) == text
    for broken in (text.replace("As far as here", ""), text * 2):
        with pytest.raises(ValueError, match="unpack"):
            with_table(broken)


@pytest.mark.parametrize("page", [GUIDE, FLEET], ids=lambda page: page.name)
def test_the_commands_of_the_continuous_integration_job_are_run_here_too(page: Path) -> None:
    (job,) = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = re.findall(r"bort-convert .*", job)
    assert commands
    assert set(commands) <= {step.text for step in steps_of(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in map(local, LINK.findall(page.read_text("utf-8"))) if "://" not in link]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in heading_anchors(target), link


def test_three_dots_stand_for_any_lines_and_everything_else_for_itself() -> None:
    assert matches("a [1] *\n...\nz\n", "a [1] *\nb\nc\nz\n")
    assert not matches("a\n...\nz\n", "a\nb\nz!\n")
    assert not matches("a*\n", "ab\n")


def test_measured_figures_may_differ_and_verdicts_may_not() -> None:
    shown = "layer 2  4.4e-15  (batch 1, token 0)  1,984  PASS\n9.7 s, torch 2.13.0+cpu\n"
    assert matches(shown, "layer 2  1e-16  (batch 12, token 7)  1,984   PASS\n10.1 s, torch 2.13.1\n")
    for one, other in (("PASS", "FAIL"), ("1,984", "1,983"), ("layer 2", "layer 3"), ("4.4e-15", "4.4e+15")):
        assert not matches(shown, shown.replace(one, other))


def test_a_command_that_fails_and_says_nothing_of_it_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-file"):
        run(Step("ls no-such-file", ""), tmp_path)
    assert matches("...\nexit code 3\n", run(Step("sh -c 'exit 3' || echo exit code $?", ""), tmp_path))
