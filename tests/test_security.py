"""Promises of SECURITY.md that a program can check."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert import MAX_ARRAYS, inspect
from bort_convert.errors import FormatError
from bort_convert.params import archive, info, npy, sparse
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted((ROOT / "bort_convert").rglob("*.py"))
}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "code", "codeop", "runpy", "pty", "xml"}
NETWORK = {"socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "huggingface_hub", "fsspec"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {"system", "popen", "spawnl", "spawnv", "execv", "execve", "getoutput", "getstatusoutput", "unpickle"}
STARTS_A_PROGRAM = {
    "bort_convert/verification/reference_process.py",
    "bort_convert/commands/environment.py",  # asks the interpreter that the user names for its versions
    "bort_convert/workers/cluster.py",  # asks a Ray cluster for a sign of life
}
FETCHES = {
    "bort_convert/tokenizer/sources.py": {"huggingface_hub"},  # for a tokenizer of a repository on the Hub
    "bort_convert/workers/cluster.py": {"socket"},  # whether the cluster that somebody names answers
    "bort_convert/files/remote.py": {"fsspec"},  # for a URL that somebody gives
}


def faults(path: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            tops = {name.partition(".")[0] for name in imported}
            yield from (f"imports {name}" for name in tops & (UNSAFE_MODULES | NETWORK) - FETCHES.get(path, set()))
            if "subprocess" in tops and path not in STARTS_A_PROGRAM:
                yield "imports subprocess"
        elif isinstance(node, ast.Call):
            yield from call_faults(node)


def call_faults(node: ast.Call) -> Iterator[str]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    for option in ("shell", "allow_pickle", "trust_remote_code"):
        if option in keywords and not (isinstance(keywords[option], ast.Constant) and keywords[option].value is False):
            yield f"calls with {option}"
    name = ast.unparse(node.func)
    if isinstance(node.func, ast.Name) and name in UNSAFE_CALLS:
        yield f"calls {name}"
    if isinstance(node.func, ast.Attribute) and node.func.attr in UNSAFE_METHODS:
        yield f"calls {name}"
    if name in {"torch.load", "np.fromfile", "np.memmap"}:
        yield f"calls {name}"
    if name in {"np.load", "numpy.load", "np.lib.format.write_array"} and "allow_pickle" not in keywords:
        yield f"calls {name} and leaves pickles to NumPy's default"


@pytest.mark.parametrize("path", SOURCES)
def test_no_module_can_run_code_from_a_file(path: str) -> None:
    assert list(faults(path, SOURCES[path])) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("from urllib.request import urlopen", "imports urllib"),
        ("def f():\n    import subprocess", "imports subprocess"),
        ("eval('1')", "calls eval"),
        ("os.system(name)", "calls os.system"),
        ("run(name, shell=True)", "calls with shell"),
        ("run(name, shell=flag)", "calls with shell"),
        ("np.load(path)", "calls np.load and leaves pickles to NumPy's default"),
        ("np.load(path, allow_pickle=True)", "calls with allow_pickle"),
        ("torch.load(path)", "calls torch.load"),
        ("AutoModel.from_pretrained(path, trust_remote_code=True)", "calls with trust_remote_code"),
    ],
)
def test_each_rule_can_fail(source: str, fault: str) -> None:
    assert list(faults("bort_convert/mapping/ops.py", source)) == [fault]


def test_what_the_rules_allow_passes() -> None:
    source = "import subprocess, json\nre.compile('a')\nnp.load(path, allow_pickle=False)\nPopen([name], shell=False)"
    assert list(faults("bort_convert/verification/reference_process.py", source)) == []


class Bait:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.path, "caught"))


def test_a_pickle_is_never_unpacked(tmp_path: Path) -> None:
    bait = tmp_path / "caught"
    objects = np.array([Bait(bait)], object)
    (tmp_path / "a.params").write_bytes(pickle.dumps(Bait(bait)))
    with (tmp_path / "b.params").open("wb") as file:
        np.save(file, objects, allow_pickle=True)
    with (tmp_path / "c.params").open("wb") as file:
        np.savez(file, a=objects)
    for path in sorted(tmp_path.glob("*.params")):
        with pytest.raises(FormatError, match="never unpacked"):
            inspect(path)
    assert not bait.exists()
    with np.load(tmp_path / "c.params", allow_pickle=True) as members, pytest.raises(AttributeError):
        assert members["a"][0].path == bait
    assert bait.exists()


def test_a_symbol_file_beside_the_checkpoint_is_not_opened(fixtures: Path, tmp_path: Path) -> None:
    path = tmp_path / "net-0000.params"
    path.write_bytes((fixtures / "bort_2_3_24_24-argaux.params").read_bytes())
    (tmp_path / "net-symbol.json").write_text("{")
    program = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from bort_convert.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert {name for name in ('net-0000', 'net-symbol') if name in str(opened)} == {'net-0000'}\n"
    )
    arguments = [sys.executable, "-c", program, str(path), str(tmp_path / "out"), "--family", "bort", "--heads", "3"]
    assert subprocess.run(arguments, check=False, capture_output=True).returncode == 0
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.mxnet
def test_mxnet_gets_a_path_that_no_shell_has_seen(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "$(touch caught); touch caught; #"
    folder.mkdir()
    path = folder / "x.params"
    path.write_bytes((fixtures / "bort_2_3_24_24.params").read_bytes())
    monkeypatch.chdir(tmp_path)
    inputs = {"input_ids": np.array([[1, 2]]), "valid_length": np.array([2]), "masked_positions": np.array([[0]])}
    trace = run_reference(LiveReference(path, fit_checkpoint(path, family="bort", heads=3)), inputs, dtypes=["float32"])
    assert "mlm_logits" in trace.outputs["float32"]
    assert [found.name for found in tmp_path.iterdir()] == [folder.name]


def test_the_page_has_the_limits_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", PAGE, re.MULTILINE))
    assert rows["arrays of a file, members of an archive"] == f"{MAX_ARRAYS:,}"
    assert f"{info.NAME_BYTES} bytes" in rows["names, all together"]
    assert info.ALWAYS_NAMED == 2**20
    assert rows["dimensions of an array"] == str(info.MAX_DIMENSIONS)
    ratios = {"dense form of a sparse array": sparse.DENSE_RATIO, "what an archive unpacks to": archive.UNPACK_RATIO}
    for what, ratio in ratios.items():
        assert rows[what] == f"64 MiB, or {ratio:,} times {'the file' if 'form' in what else 'its size'}"
    assert {sparse.ALWAYS_DENSE, archive.ALWAYS_UNPACKED} == {64 * 2**20}
    assert rows["header of a `.npy` file"] == f"{npy.HEADER_LIMIT:,} bytes"
    text = SOURCES["bort_convert/safetensors/header.py"]
    assert "MAX_HEADER: Final = 4 << 20" in text
    assert rows["header of a safetensors file (traces, converted weights)"] == "4 MiB"
