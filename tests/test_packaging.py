"""Facts that stand in more than one file of the project are the same everywhere."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from importlib.metadata import metadata
from pathlib import Path
from urllib.parse import unquote

import pytest
from archives import build

from bort_convert import __version__

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
REMOTE = {
    "aiobotocore",
    "aiohappyeyeballs",
    "aiohttp",
    "aioitertools",
    "aiosignal",
    "async-timeout",
    "botocore",
    "frozenlist",
    "jmespath",
    "multidict",
    "propcache",
    "s3fs",
    "wrapt",
    "yarl",
}
NUMPY_1_ALONE = RAY | REMOTE | {"charset-normalizer", "gluonnlp", "graphviz", "mxnet", "requests", "urllib3"}


REPOSITORY = re.findall(r'^Repository = "(.+)"$', PYPROJECT, re.MULTILINE)[0]
# What .gitignore names: nothing of it belongs into an archive.
IGNORED = (
    *(".git", ".venv*", "build", "dist", "*.egg-info", "node_modules"),
    *("__pycache__", ".*_cache", ".hypothesis", ".coverage*"),
)
MADE_BY_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}


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


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_the_source_archive_is_the_whole_project_and_the_wheel_the_whole_package(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*IGNORED))
    whole = files_below(project) - MADE_BY_SETUPTOOLS
    source = build("sdist", project, tmp_path)
    assert source.name == f"bort_convert-{__version__}.tar.gz"
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"bort_convert-{__version__}"
    packed = {name for name in files_below(unpacked) - MADE_BY_SETUPTOOLS if ".egg-info/" not in name}
    assert packed == whole, "MANIFEST.in names what the source archive holds"
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name for name in whole if name.startswith("bort_convert/")}


def test_every_link_and_picture_of_the_readme_works_on_a_package_page() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", readme)
    assert links
    raw = REPOSITORY.replace("//github.com/", "//raw.githubusercontent.com/")
    for link in map("".join, links):
        assert link.startswith(("#", "https://")), f"{link}: a package page has no file beside it"
        ours = re.fullmatch(rf"(?:{REPOSITORY}/(?:blob|tree)|{raw})/main/([^#]+)(?:#.*)?", link)
        if ours:
            assert (ROOT / unquote(ours[1])).exists(), link
        assert ours or REPOSITORY.rpartition("/")[0] not in link or "/actions/" in link, f"{link}: leads nowhere"


def test_every_python_that_is_named_is_tested_and_none_is_shut_out() -> None:
    named = re.findall(r"Python :: (3\.\d+)", PYPROJECT)
    assert named == re.findall(r"^VERSIONS := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split()
    assert f'\nrequires-python = ">={named[0]}"\n' in PYPROJECT


def test_the_newest_section_of_the_changelog_is_this_version_with_its_date() -> None:
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert re.fullmatch(rf"\[{re.escape(__version__)}\] - 20\d\d-\d\d-\d\d|\[Unreleased\]", sections[0])


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASE.md", "Makefile", ".ci/run"]
)
def test_the_project_is_complete(name: str) -> None:
    assert (ROOT / name).is_file()


def test_every_verb_in_the_documentation_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "RELEASE.md", "fixtures/README.md", ".ci/run"):
        text = (ROOT / page).read_text("utf-8")
        named = re.findall(r"`make ([a-z0-9 -]+)`|^(?:\$ |exec )make ([a-z0-9 -]+)", text, re.MULTILINE)
        assert {verb for groups in named for group in groups for verb in group.split()} <= targets, page
