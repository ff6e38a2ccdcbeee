from __future__ import annotations

from bort_convert.manifest import Manifest, Source, Tensor


def test_parameters_are_the_numbers_that_came_from_the_source() -> None:
    tensors = {
        "b": Tensor(("x",), "copy", "float32", (2, 3), "00"),
        "a": Tensor((), "fill", "float32", (5,), "11", why="absent"),
        "scalar": Tensor(("y",), "copy", "float32", (), "22"),
    }
    manifest = Manifest(Source("m.params", 9, "ff"), tensors)
    assert manifest.parameters == 7
    document = manifest.to_dict()
    assert list(document["tensors"]) == ["a", "b", "scalar"]  # type: ignore[call-overload]
    assert document["tensors"]["a"]["why"] == "absent"  # type: ignore[index]
    assert "why" not in document["tensors"]["b"]  # type: ignore[index]
    assert manifest.to_json().endswith("}\n")
