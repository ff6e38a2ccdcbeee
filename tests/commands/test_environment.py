from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from environment import unmeasured

from bort_convert import BackendError, __version__, environment
from bort_convert.commands.environment import _is_for_this_python

PYPROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")


def test_the_text_says_what_a_bug_report_needs() -> None:
    lines = run("env").stdout.splitlines()
    assert lines[0] == f"bort_convert {__version__}"
    assert lines[1].startswith(f"Python {sys.version.split()[0]} (CPython), ")
    assert f"numpy {np.__version__}" in lines[2]
    assert lines[-1].startswith(f"interpreter for MXNet: this one, Python {sys.version.split()[0]}, ")


def test_the_json_is_that_of_the_library() -> None:
    assert json.loads(run("env", "--json").stdout) == environment().to_dict()


def test_every_extra_but_that_of_tests_is_named() -> None:
    found = environment()
    listed = set(metadata.metadata("bort-convert").get_all("Provides-Extra") or ())
    assert found.extras.keys() == listed - {"dev"}
    assert {"mxnet", "torch", "report"} <= found.extras.keys()
    assert "pytest" not in found.packages


def test_an_extra_is_complete_where_all_of_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=1.23",
        'pytest>=8; extra == "one"',
        'no-such-package; python_version < "3.9" and extra == "one"',
        'pytest>=8; extra == "two"',
        'no-such-package; extra == "two"',
        'hidden; extra == "dev"',
    ]
    lines.append('no-such-package; python_version < "3.9" and extra == "three"')
    monkeypatch.setattr("bort_convert.commands.environment.requires", lambda _name: lines)
    monkeypatch.setattr("bort_convert.commands.environment._extras", lambda: ["one", "two", "three"])
    found = environment()
    assert found.extras == {"one": True, "two": False, "three": None}
    assert "extras: one complete, two not complete, three not for this Python\n" in run("env").stdout
    assert found.packages["no-such-package"] is None
    assert found.packages["pytest"] == pytest.__version__
    assert "hidden" not in found.packages


@pytest.mark.parametrize(
    ("marker", "version", "expected"),
    [
        (' python_version < "3.13" and extra == "mxnet"', (3, 12), True),
        (' python_version < "3.13" and extra == "mxnet"', (3, 13), False),
        (' python_version >= "3.11"', (3, 10), False),
        (' python_version >= "3.11"', (3, 11), True),
        (' extra == "torch"', (3, 10), True),
    ],
)
def test_a_marker_is_read(
    marker: str,
    version: tuple[int, int],
    expected: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert _is_for_this_python(marker) is expected


def test_where_the_package_is_not_installed_the_extras_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_name: str) -> list[str]:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("bort_convert.commands.environment.requires", nowhere)
    monkeypatch.setattr("bort_convert.commands.environment.metadata", nowhere)
    assert environment().extras == {}
    assert environment().packages["numpy"] == np.__version__
    assert "extras: not known, bort_convert runs from a folder" in run("env").stdout


@pytest.mark.parametrize("option", [(), ("--json",), ("--mxnet-python", sys.executable)])
def test_it_holds_no_home_no_host_and_no_variable(
    option: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "someone-home"))
    monkeypatch.setenv("HF_TOKEN", "hf_a-secret-token")
    text = run("env", *option).stdout
    for private in (
        "someone-home",
        "a-secret-token",
        str(Path.cwd()),
        sys.prefix,
        str(Path.home()),
        socket.gethostname(),
    ):
        assert private not in text, private


def test_another_interpreter_is_asked_what_it_has() -> None:
    found = environment(mxnet_python=sys.executable)
    assert found.mxnet_python == "the one given"
    assert found.mxnet_python_version == sys.version.split()[0]
    assert found.mxnet["numpy"] == np.__version__


@pytest.mark.mxnet
def test_mxnet_is_found_in_both_ways() -> None:
    for found in (environment(), environment(mxnet_python=sys.executable)):
        assert found.mxnet.items() >= {"mxnet": "1.9.1", "gluonnlp": "0.8.3"}.items()
    assert re.search(
        r"^interpreter for MXNet: this one, .*mxnet 1\.9\.1, gluonnlp 0\.8\.3", run("env").stdout, re.MULTILINE
    )


def test_an_interpreter_that_is_none_is_refused() -> None:
    for python in ("/no/such/python", "/bin/false"):
        with pytest.raises(
            BackendError, match=rf"^{python}: gives no answer as a Python would \(\w+\); `mxnet_python` must"
        ):
            environment(mxnet_python=python)
    result = run("env", "--mxnet-python", "/no/such/python")
    assert result.exit_code == 5
    assert "--mxnet-python must be an interpreter that has mxnet and gluonnlp" in result.stderr


def test_it_imports_no_framework() -> None:
    code = (
        "import sys, bort_convert; bort_convert.environment(); "
        "sys.exit(str({'torch', 'transformers', 'mxnet', 'numpy', 'rich'} & {*sys.modules} or ''))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], env=unmeasured(), check=False, capture_output=True, text=True
    )
    assert process.stderr.strip() == ""
