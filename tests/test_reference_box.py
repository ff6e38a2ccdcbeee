"""The Dockerfile for MXNet has the versions of pyproject.toml and constraints.txt, and fetches nothing else."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "reference" / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
PROMISED = "Python 3.11, mxnet 1.9.1, gluonnlp 0.8.3"


def rests(word: str) -> list[str]:
    """What follows an instruction's word, wherever it stands."""
    return [line.removeprefix(f"{word} ") for line in LINES if line.startswith(f"{word} ")]


def test_the_versions_are_those_that_are_promised() -> None:
    assert PROMISED in TEXT
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert {"mxnet==1.9.1", "gluonnlp==0.8.3"} <= set(pins)
    assert all("--constraint constraints.txt" in rest for rest in rests("RUN") if "pip install" in rest)
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert set(rests("ARG")[1].removeprefix("EXTRAS=").split(",")) <= set(extras)


def test_what_is_copied_is_there_and_is_all_that_the_build_sees() -> None:
    copied = {name for rest in rests("COPY") for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    seen = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert copied == set(seen)


def test_nothing_is_fetched_but_packages() -> None:
    words = [shlex.split(part)[0] for rest in rests("RUN") for part in rest.split("&&")]
    programs = {word.rpartition("/")[2] for word in words}
    assert programs == {"apt-get", "rm", "python3", "pip", "python", "bort-convert"}
    assert not re.search(r"https?://", "".join(LINES))


def test_it_runs_as_nobody_and_does_the_work_that_the_header_shows() -> None:
    assert rests("USER") == ["nobody"]
    assert rests("ENTRYPOINT") == ['["bort-convert"]']
    tried = re.findall(r"^run (\w+) ", (ROOT / "reference" / "try.sh").read_text("utf-8"), re.MULTILINE)
    assert {"record", "verify"} <= set(tried)
    assert len(re.findall(r"docker run .* bort-reference (?:record|verify) bort\.params", TEXT)) == 2
