"""The manifest as data and as text."""

from __future__ import annotations

import json

import pytest

from bort_convert.errors import FormatError
from bort_convert.model_dir.manifest import Manifest, SourceFile, TensorEntry


def test_parameters_are_the_values_that_came_from_the_source() -> None:
    tensors = {
        "b": TensorEntry(("x",), "copy", "float32", (2, 3), "00"),
        "a": TensorEntry((), "fill", "float32", (5,), "11", why="absent"),
        "scalar": TensorEntry(("y",), "copy", "float32", (), "22"),
    }
    manifest = Manifest(SourceFile("m.params", 9, "ff"), tensors)
    assert manifest.parameters == 7
    document = manifest.to_dict()
    assert list(document["tensors"]) == ["a", "b", "scalar"]  # type: ignore[call-overload]
    assert document["tensors"]["a"]["why"] == "absent"  # type: ignore[index]
    assert "why" not in document["tensors"]["b"]  # type: ignore[index]
    assert manifest.to_json().endswith("}\n")


def test_a_manifest_is_read_as_it_was_written() -> None:
    initialised = TensorEntry((), "fill", "float32", (), "", "absent")
    tensors = {"a": TensorEntry(("x",), "copy", "float32", (2, 3), "00"), "b": initialised}
    manifest = Manifest(SourceFile("m.params", 9, "ff"), tensors, family="bort", notes=("one", "two"))
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("entry", ["family", "table", "tensors", "options", "tied", "source", "notes"])
@pytest.mark.parametrize("value", [7, None])
def test_an_entry_of_another_type_is_refused(entry: str, value: object) -> None:
    document = Manifest(SourceFile("m.params", 9), {}).to_dict() | {entry: value}
    with pytest.raises(FormatError, match="is not what a conversion writes"):
        Manifest.from_json(json.dumps(document))


def test_a_source_without_a_name_is_refused() -> None:
    document = Manifest(SourceFile("m.params", 9), {}).to_dict() | {"source": {"name": 7, "size": 9}}
    with pytest.raises(FormatError, match="the name or the marks of the source is of another type"):
        Manifest.from_json(json.dumps(document))
