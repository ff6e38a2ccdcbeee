"""GitHub's files: workflows pass actionlint, and the steps of the parity action and of a release are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from archives import build
from command_line import run as run_command
from environment import unmeasured

from bort_convert import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTION = GITHUB / "actions" / "parity" / "action.yml"
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]
TRACE = ROOT / "fixtures" / "traces" / "bort_4_8_24_32.safetensors"
BORT = ROOT / "fixtures" / "bort_4_8_24_32.params"
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # as the runner starts a step


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def steps_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of a workflow or of a composite action."""
    for holder in [*document.get("jobs", {}).values(), document.get("runs", {})]:
        yield from holder.get("steps", ())


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("actionlint")
    return subprocess.run([program, "-no-color", path], cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_passes_actionlint_and_a_broken_one_does_not(path: Path, tmp_path: Path) -> None:
    assert lint(path).stdout == ""
    for right, wrong in (("runs-on:", "run-on:"), ("matrix.python", "matrix.pithon"), ("needs: build", "needs: built")):
        if right in path.read_text("utf-8"):
            broken = tmp_path / path.name
            broken.write_text(path.read_text("utf-8").replace(right, wrong), "utf-8")
            assert lint(broken).returncode == 1, wrong


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_full_version(path: Path) -> None:
    used = [step["uses"] for step in steps_of(read(path)) if "uses" in step]
    for action in used:
        assert re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", action) or (ROOT / action / "action.yml").is_file(), action


def test_workflows_run_what_there_is() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    verbs = [
        word
        for path in WORKFLOWS
        for step in steps_of(read(path))
        for line in re.findall(r"^make (.*)$", step.get("run", ""), re.MULTILINE)
        for word in line.split()
        if re.fullmatch(r"[a-z-]+", word)
    ]
    assert {"check", "parity", "dist"} <= set(verbs) <= targets
    matrix = read(GITHUB / "workflows" / "tests.yml")["jobs"]["light"]["strategy"]["matrix"]
    assert f"VERSIONS := {' '.join(matrix['python'])}\n" in makefile
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"][0]["entry"] == "make check"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_fields_that_can_be_told_apart_and_asks_for_the_environment(path: Path) -> None:
    form = read(path)
    assert form.keys() <= {"name", "description", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert "env" in ids
    for field in form["body"]:
        assert field.keys() <= {"type", "id", "attributes", "validations"}
        assert field["type"] in {"textarea", "input", "dropdown"}
        assert field["attributes"]["label"]
        assert ("options" in field["attributes"]) == (field["type"] == "dropdown")


def test_citation_and_guide_have_the_version_and_the_day_of_the_changelog() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert f"/actions/parity@v{__version__}`" in (ROOT / "docs" / "guide.md").read_text("utf-8")
    assert f"## [{__version__}] - {citation['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(("tag", "status"), [(f"v{__version__}", 0), ("v9.9.9", 1), (__version__, 1)])
def test_a_release_is_refused_unless_its_tag_is_the_version(tag: str, status: int) -> None:
    steps = {step.get("name"): step for step in steps_of(read(GITHUB / "workflows" / "release.yml"))}
    check = next(step for name, step in steps.items() if name and name.startswith("The tag is the version"))
    environ = unmeasured() | {"GITHUB_REF_NAME": tag}
    assert subprocess.run([*BASH, check["run"]], cwd=ROOT, env=environ, check=False).returncode == status


class Runner:
    """Runs the steps of the composite action as a runner does, until one fails.

    Attributes:
        environ: variables of each step, those of GitHub among them.
        output: what the last step printed.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {name: folder / name for name in ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in self.files.values():
            path.touch()
        self.environ = unmeasured() | {name: str(path) for name, path in self.files.items()}
        self.environ |= {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ACTION.parent), "GITHUB_ACTIONS": "true"}
        self.output = ""

    def run(self, step: dict[str, Any], inputs: dict[str, str]) -> int:
        """Run a step; give its exit status."""
        own = {
            name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: inputs[match[1]], text)
            for name, text in step["env"].items()
        }
        added = [line for line in self.files["GITHUB_PATH"].read_text("utf-8").splitlines() if line]
        path = os.pathsep.join([*reversed(added), self.environ["PATH"]])
        process = subprocess.run(
            [*BASH, step["run"]],
            env=self.environ | own | {"PATH": path},
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = process.stdout
        return process.returncode


@pytest.mark.torch
@pytest.mark.long
def test_the_steps_of_the_parity_action_install_verify_and_write_the_summary(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "bort_convert", project / "bort_convert", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    wheel = build("wheel", project, tmp_path)
    runner, document = Runner(tmp_path), read(ACTION)
    # The action's environment is fresh, but for what lies here already: torch and transformers are not installed again.
    runner.environ["PYTHONPATH"] = sysconfig.get_path("purelib")
    inputs = {name: entry.get("default", "") for name, entry in document["inputs"].items()}
    inputs |= {"package": str(wheel), "requirements": "--no-deps --ignore-installed", "python": sys.executable}
    install, check, verify = document["runs"]["steps"]

    assert runner.run(install, inputs) == 0, runner.output
    assert runner.output.splitlines()[0] == f"bort_convert {__version__}"
    (bin_folder,) = runner.files["GITHUB_PATH"].read_text("utf-8").splitlines()
    assert Path(bin_folder).is_relative_to(tmp_path)

    for heads, verdict in ((8, "PASS"), (4, "FAIL")):
        out, report = tmp_path / f"out-{heads}", tmp_path / f"{heads}.md"
        assert run_command(BORT, out, "--family", "bort", "--heads", heads).exit_code == 0
        inputs |= {"model": str(out), "reference": str(TRACE), "report": str(report)}
        assert runner.run(check, inputs) == 0, runner.output
        assert runner.run(verify, inputs) == (verdict == "FAIL"), runner.output
        assert ("::error" in runner.output) == (verdict == "FAIL")
        assert runner.files["GITHUB_OUTPUT"].read_text("utf-8").splitlines()[-1] == f"verdict={verdict}"
        assert f"**{verdict} " in runner.files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
        assert report.read_text("utf-8").startswith(f"**{verdict} ")

    (out / "config.json").write_text("{}", "utf-8")
    assert runner.run(check, inputs) == 1
    outputs = runner.files["GITHUB_OUTPUT"].read_text("utf-8")
    inputs["reference"] = str(tmp_path / "absent.safetensors")
    assert runner.run(verify, inputs) == 3, runner.output
    assert runner.files["GITHUB_OUTPUT"].read_text("utf-8") == outputs


def test_dependabot_watches_each_folder_with_pins_that_it_knows() -> None:
    updates = read(GITHUB / "dependabot.yml")["updates"]
    watched = {each["package-ecosystem"]: each.get("directories", [each.get("directory")]) for each in updates}
    pins = {"npm": "*/package.json", "docker": "*/Dockerfile"}
    found = {kind: [f"/{path.parent.name}" for path in ROOT.glob(pattern)] for kind, pattern in pins.items()}
    assert watched == {"github-actions": ["/", "/.github/actions/*"], **found}
    assert ACTION.parent.parent == GITHUB / "actions"
