"""Files of real MXNet releases and of third parties with their expected contents, and damaged files."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.shared


def test_every_file_of_every_release_reads_byte_for_byte(shared: Path) -> None:
    folder = shared / "corpus" / "params"
    paths = [*sorted(folder.glob("*.params")), folder / "legacy_ndarray.v0"]
    assert len(paths) > 200
    for path in paths:
        with np.load(path.with_suffix(".npz")) as expected:
            meta = json.loads(str(expected["meta"]))
            with open_params(path) as file:
                assert file.named == (meta["named"] and bool(meta["arrays"])), path
                assert file.kind == {"npz": "zip", "npy": "npy"}.get(meta["container"], "list"), path
                names = [entry["name"] if meta["named"] else str(entry["index"]) for entry in meta["arrays"]]
                assert sorted(file.header) == sorted(names), path
                for name, entry in zip(names, meta["arrays"], strict=True):
                    stored = file.pieces(name)
                    assert stored.keys() == _roles(entry["stype"]), (path, name)
                    if stored:
                        _same(file[name], expected[f"a{entry['index']}"], entry)
                    for role in stored if entry["stype"] in ("row_sparse", "csr") else ():
                        assert stored[role].tobytes() == expected[f"a{entry['index']}_{role}"].tobytes(), (path, name)


def _roles(storage: str) -> set[str]:
    return {"none": set(), "row_sparse": {"data", "indices"}, "csr": {"data", "indices", "indptr"}}.get(
        storage, {"data"}
    )


def _same(found: np.ndarray, expected: np.ndarray, entry: dict[str, Any]) -> None:
    assert list(found.shape) == list(expected.shape) == entry["shape"]
    assert found.tobytes() == expected.tobytes()
    assert found.dtype.name in {entry["dtype"], "bfloat16"}


def test_every_third_party_file_reads_as_mxnet_read_it(shared: Path) -> None:
    folder = shared / "corpus" / "real"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest) > 10
    for name, expected_file in manifest.items():
        with open_params(folder / name) as file:
            assert list(file) == list(expected_file["arrays"])
            for array, expected in zip(file.values(), expected_file["arrays"].values(), strict=True):
                assert list(array.shape) == expected["shape"]
                assert array.dtype.name == expected["dtype"]
                assert hashlib.sha256(array.tobytes()).hexdigest() == expected["sha256"]


def test_every_damaged_file_is_refused(shared: Path) -> None:
    folder = shared / "corpus" / "malformed"
    rows = [line.split("\t") for line in (folder / "INDEX.tsv").read_text().splitlines()[1:]]
    assert len(rows) == 30
    for name, verdict, _ in rows:
        if verdict == "reject" or name.startswith(("m19", "m20")):
            with pytest.raises(FormatError, match=name), open_params(folder / name) as file:
                dict(file)


def test_files_that_mxnet_reads_and_that_look_damaged_read_on_request(shared: Path) -> None:
    folder = shared / "corpus" / "malformed"
    with open_params(folder / "m19_duplicate_names.params", allow_duplicates=True) as file:
        assert list(file) == ["w"]
    with open_params(folder / "m20_trailing_bytes.params", allow_trailing=True) as file:
        assert file.note == "5 bytes behind the end ignored"
    with open_params(folder / "m28_reserved_nonzero.params") as file:
        assert file.note == ""
