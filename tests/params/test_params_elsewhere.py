"""A `.params` file in a store, which here is a dictionary; tests/files/test_remote.py has real servers."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from params_files import f32, list_file, record

from bort_convert.errors import FormatError
from bort_convert.files.remote import RemotePath
from bort_convert.params import open_params

LIST = list_file(record(f32(1, 2), (2,)))


@dataclass
class Store:
    """What is called of a filesystem of fsspec."""

    files: dict[str, bytes | Exception]
    opened: list[io.BytesIO] = field(default_factory=list)
    retries = 0

    def invalidate_cache(self) -> None:
        """Nothing is kept."""

    def info(self, path: str) -> dict[str, Any]:
        content = self.files.get(path, FileNotFoundError(2, "No such file or directory"))
        if isinstance(content, Exception):
            raise content
        return {"type": "file", "size": len(content), "etag": f"tag of {len(content)}", "mtime": 7}

    def open(self, path: str, mode: str, **_: object) -> io.BytesIO:
        content = self.files[path]
        assert isinstance(content, bytes)
        assert mode == "rb"
        self.opened.append(io.BytesIO(content))
        return self.opened[-1]


class StorePath(RemotePath):
    """A file in a store."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__(f"store://box/{name}")
        self._store = store

    def filesystem(self) -> tuple[Any, str]:
        return self._store, self.name


def test_a_file_in_a_store_reads_and_has_marks_and_no_descriptor() -> None:
    store = Store({"x.params": LIST})
    with open_params(StorePath(store, "x.params")) as file:
        assert file["a"].tolist() == [1, 2]
        assert (file.size, file.marks, file.content.path) == (len(LIST), {"etag": f"tag of {len(LIST)}"}, "x.params")
        file.check_unchanged()
        store.files["x.params"] = LIST + b"!"
        with pytest.raises(FormatError) as caught:
            file.check_unchanged()
        change = f"it had {len(LIST)} bytes and has {len(LIST) + 1} now"
        assert str(caught.value).startswith(f"store://box/x.params: changed while it was read: {change}.")
        with pytest.raises(ValueError, match=r"^store://box/x\.params: is no file of this machine$"):
            file.fileno()
    assert [handle.closed for handle in store.opened] == [True]


@pytest.mark.parametrize("name", ["x.params", "x"])
def test_a_file_that_a_store_does_not_give_is_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_params(StorePath(Store({}), name))
    assert str(caught.value) == f"store://box/{name}: there is no such file"


def test_a_store_that_refuses_is_told_with_its_reason() -> None:
    with pytest.raises(FormatError) as caught:
        open_params(StorePath(Store({"x.params": PermissionError(13, "Permission denied")}), "x.params"))
    assert str(caught.value) == "store://box/x.params: cannot be opened (Permission denied)"
