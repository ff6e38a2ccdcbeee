"""Facts that stand in more than one file of the project are the same everywhere."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
OWN_VERSIONS = {"numpy", "ml_dtypes"}  # they differ between numpy 1 and numpy 2
RAY = {
    "attrs",
    "jsonschema",
    "jsonschema-specifications",
    "msgpack",
    "protobuf",
    "ray",
    "referencing",
    "rpds-py",
}
NUMPY_1_ALONE = RAY | {"charset-normalizer", "gluonnlp", "graphviz", "mxnet", "requests", "urllib3"}


def pins_of(name: str) -> dict[str, list[str]]:
    """Lines of a constraint file by package; names in lower case."""
    pins: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r'[\w.-]+==[\w.]+(; python_version (<|>=) "3\.\d+")?', line), line
            pins.setdefault(line.partition("==")[0].lower(), []).append(line)
    return pins


def test_the_constraint_files_differ_in_numpy_alone() -> None:
    one, two = pins_of("constraints.txt"), pins_of("constraints-numpy2.txt")
    assert one.keys() - two.keys() == NUMPY_1_ALONE
    assert two.keys() <= one.keys()
    assert {name for name in two if one[name] != two[name]} == OWN_VERSIONS


def test_every_dependency_is_pinned_and_has_its_decision_page() -> None:
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "decisions").glob("*.md"))
    requirements = metadata("bort-convert").get_all("Requires-Dist") or []
    assert requirements
    for requirement in requirements:
        name = re.split(r"[^\w-]", requirement)[0]
        assert name in pins_of("constraints.txt"), name
        assert re.search(rf"\b{name}\b", pages, re.IGNORECASE), name


def test_a_package_that_nothing_needs_any_more_is_not_pinned() -> None:
    assert "click-default-group" not in {*pins_of("constraints.txt"), *pins_of("constraints-oldest.txt")}


def test_data_files_of_the_package_are_in_the_wheel() -> None:
    package = ROOT / "bort_convert"
    patterns = re.findall(r'"([^"]+)"', re.findall(r"^bort_convert = \[(.*)\]$", PYPROJECT, re.MULTILINE)[0])
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    data = {path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert data - packed == set()
    assert all(any(package.glob(pattern)) for pattern in patterns)


def test_the_extra_for_mxnet_asks_for_nothing_where_there_is_no_mxnet() -> None:
    requirements = metadata("bort-convert").get_all("Requires-Dist") or []
    mxnet = [line for line in requirements if 'extra == "mxnet"' in line]
    assert len(mxnet) == 4
    assert all('python_version < "3.13"' in line for line in mxnet)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", ".ci/run"])
def test_the_project_is_complete(name: str) -> None:
    assert (ROOT / name).is_file()


def test_every_verb_in_the_documentation_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "fixtures/README.md", ".ci/run"):
        text = (ROOT / page).read_text("utf-8")
        named = re.findall(r"`make ([a-z0-9 -]+)`|^(?:\$ |exec )make ([a-z0-9 -]+)", text, re.MULTILINE)
        assert {verb for groups in named for group in groups for verb in group.split()} <= targets, page
