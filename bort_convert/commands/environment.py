"""Describe the environment for a bug report: versions, extras and MXNet, without a path or a variable of the user's."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import TYPE_CHECKING, Final

from bort_convert.errors import BackendError
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROJECT: Final = "bort-convert"
_ALWAYS: Final = ("numpy", "torch", "transformers", "mxnet", "gluonnlp")
_PYTHON: Final = re.compile(r'python_version (<|>=) "(\d+)\.(\d+)"')
_TIMEOUT: Final = 60.0
_PROGRAM: Final = """
import json, platform
try:
    from importlib.metadata import distributions
    found = [(d.metadata["Name"], d.version) for d in distributions()]
except ImportError:
    import pkg_resources
    found = [(d.project_name, d.version) for d in pkg_resources.working_set]
wanted = ("mxnet", "gluonnlp", "autogluon", "numpy")
print(json.dumps([platform.python_version(), {n: v for n, v in sorted(found) if n and n.lower().startswith(wanted)}]))
"""
"""Program for an interpreter of any version from 3.6 on: it imports no framework."""


@dataclass(frozen=True)
class Environment:
    """Outcome of `environment`.

    Attributes:
        bort_convert: our version.
        python: version and implementation of this interpreter, such as "3.11.7 (CPython)".
        platform: operating system, its version, machine and C library.
        processors: number of processors.
        packages: name -> version of each package that we or an extra ask for; None where it is not installed.
        extras: name -> True if everything that the extra asks for is installed, None if it asks for nothing on this
            Python. Empty if we are not installed but run from a folder.
        mxnet_python: "this one" or "the one given": the interpreter that `verify` and `record` would run MXNet in.
        mxnet_python_version: its version.
        mxnet: name -> version of the packages of MXNet, GluonNLP and NumPy in it.

    Examples:
        >>> sorted(bort_convert.environment().to_dict())[:3]
        ['bort_convert', 'extras', 'mxnet']
    """

    bort_convert: str
    python: str
    platform: str
    processors: int
    packages: dict[str, str | None]
    extras: dict[str, bool | None]
    mxnet_python: str
    mxnet_python_version: str
    mxnet: dict[str, str]

    def to_dict(self) -> dict[str, object]:
        """The same as JSON data."""
        return asdict(self)


def environment(*, mxnet_python: str | None = None) -> Environment:
    """Describe the environment for a bug report; neither torch nor MXNet is imported.

    It holds no path, no name of a host or user, and no environment variable.

    Args:
        mxnet_python: the interpreter that `verify` and `record` would be given; None for this one.

    Raises:
        BackendError: that interpreter cannot be started or gives no answer.

    Examples:
        >>> found = bort_convert.environment()
        >>> found.bort_convert == bort_convert.__version__, found.packages["numpy"] is not None, found.mxnet_python
        (True, True, 'this one')
    """
    requirements = list(_requirements())
    names = dict.fromkeys([*(name for _, name in requirements), *_ALWAYS])
    packages = {name: _version(name) for name in names}
    extras: dict[str, bool | None] = dict.fromkeys(_extras())
    for extra, name in requirements:
        if extra:
            extras[extra] = extras.get(extra) is not False and packages[name] is not None
    told, mxnet = _ask(mxnet_python) if mxnet_python else (platform.python_version(), _mxnet_of(packages))
    return Environment(
        bort_convert=__version__,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        platform=platform.platform(),
        processors=os.cpu_count() or 1,
        packages=packages,
        extras=extras,
        mxnet_python="the one given" if mxnet_python else "this one",
        mxnet_python_version=told,
        mxnet=mxnet,
    )


def _ask(python: str) -> tuple[str, dict[str, str]]:
    """Version of another interpreter, and the last field of an `Environment`."""
    try:
        answer = subprocess.run(  # noqa: S603 - the interpreter is the user's choice, the program is ours
            [python, "-c", _PROGRAM], capture_output=True, check=True, timeout=_TIMEOUT
        )
        told, found = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise BackendError(
            f"{python}: gives no answer as a Python would ({type(error).__name__}); "
            "`mxnet_python` must be an interpreter that has mxnet and gluonnlp"
        ) from error
    return str(told), dict(found)


def _mxnet_of(packages: dict[str, str | None]) -> dict[str, str]:
    return {name: found for name in ("mxnet", "gluonnlp", "numpy") if (found := packages[name])}


def _extras() -> list[str]:
    """Our extras, without that of tests."""
    try:
        listed = metadata(_PROJECT).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
    return [extra for extra in listed if extra != "dev"]


def _requirements() -> Iterator[tuple[str, str]]:
    """Extra, "" for none, and name of each package that our metadata ask for on this Python, without those of tests."""
    try:
        lines = requires(_PROJECT) or []
    except PackageNotFoundError:
        return
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = re.search(r'extra == "([\w-]+)"', marker)
        name = re.split(r"[^\w-]", requirement.strip())[0]
        if (extra is None or extra[1] != "dev") and _is_for_this_python(marker):
            yield extra[1] if extra else "", name


def _is_for_this_python(marker: str) -> bool:
    """True unless a marker leaves this version of Python out."""
    for sign, major, minor in _PYTHON.findall(marker):
        is_older = sys.version_info[:2] < (int(major), int(minor))
        if is_older != (sign == "<"):
            return False
    return True


def _version(name: str) -> str | None:
    """Version of an installed package, of which nothing is imported; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
