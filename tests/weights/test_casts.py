from __future__ import annotations

from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from bort_convert.commands.convert import convert
from bort_convert.errors import MappingError
from bort_convert.files import streams
from bort_convert.files.streams import FileRange
from bort_convert.params import open_params, save_params
from bort_convert.safetensors import open_tensors
from bort_convert.weights.casts import Caster

if TYPE_CHECKING:
    from pathlib import Path


def test_values_are_rounded_to_nearest_even() -> None:
    # 1 + 2**-11 lies halfway between two float16, 1 + 3 * 2**-11 between the next two: each goes to the even one.
    halfway = np.array([1 + 2**-11, 1 + 3 * 2**-11, 2**-25, -0.0, np.inf], np.float32)
    (cast,) = Caster("float16").cast("w", halfway, "float32")
    assert cast.tolist() == [1, 1 + 2**-9, 0, 0, np.inf]
    (cast,) = Caster("bfloat16").cast("w", np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32), "float32")
    assert cast.astype(np.float32).tolist() == [1, 1 + 2**-6]


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_has_the_bits_of_torch(dtype: str) -> None:
    import torch  # noqa: PLC0415

    values = np.arange(0, 2**32, 65_521, dtype=np.uint32).view(np.float32)
    values = values[np.abs(values) < 65_504]
    (cast,) = Caster(dtype).cast("w", values, "float32")
    expected = torch.tensor(values).to(getattr(torch, dtype))
    assert cast.tobytes() == expected.view(torch.int16).numpy().tobytes()


@pytest.mark.parametrize(("dtype", "numpy_dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_a_cast_has_the_bits_of_numpy_for_every_exponent(dtype: str, numpy_dtype: type[np.generic]) -> None:
    values = np.arange(0, 2**32, 1021, dtype=np.uint32).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(numpy_dtype)
    cast = np.concatenate([piece.copy() for piece in Caster(dtype).cast("w", values, "float32")])
    assert cast.tobytes() == expected.tobytes()


def test_a_file_and_an_array_are_cast_alike_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(-3, 3, 1001, dtype=np.float32)
    (tmp_path / "x").write_bytes(b"abc" + values.tobytes())
    monkeypatch.setattr(streams, "PIECE", 400)
    with (tmp_path / "x").open("rb") as file:
        stretch = FileRange(file.fileno(), 3, values.nbytes)
        from_file = [piece.copy() for piece in Caster("float16").cast("w", stretch, "float32")]
    from_array = [piece.copy() for piece in Caster("float16").cast("w", values.reshape(7, 143), "float32")]
    assert len(from_file) == len(from_array) == 11
    assert (
        np.concatenate(from_file).tobytes()
        == values.astype(np.float16).tobytes()
        == np.concatenate(from_array).tobytes()
    )


def test_values_that_do_not_fit_are_counted_and_refused() -> None:
    caster = Caster("float16")
    list(caster.cast("a", np.array([1e5, -1e6, np.inf, np.nan, 1], np.float32), "float32"))
    list(caster.cast("b", np.array([65504], np.float32), "float32"))
    assert caster.overflows == {"a": 2}
    with pytest.raises(MappingError) as caught:
        caster.check()
    assert caught.value.disagreements == ("a: too large: 2 of its values",)
    assert "do not fit into float16; keep their dtype, or pass `allow_overflow=True`" in str(caught.value)


@pytest.mark.parametrize(("dtype", "numpy_dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_a_whole_checkpoint_changes_its_precision(
    fixtures: Path, tmp_path: Path, dtype: str, numpy_dtype: type[np.generic]
) -> None:
    source = fixtures / "bort_4_8_24_32.params"
    manifest = convert(source, tmp_path / "out", family="bort", heads=8, dtype=dtype)
    assert manifest.options == {"family": "bort", "heads": 8, "dtype": dtype}
    with open_params(source) as params, open_tensors(tmp_path / "out" / "model.safetensors") as target:
        for name, tensor in manifest.tensors.items():
            assert target[name].dtype == numpy_dtype
            if tensor.sources:
                assert target[name].tobytes() == params[tensor.sources[0]].astype(numpy_dtype).tobytes()


def test_a_checkpoint_that_overflows_is_not_written_unless_allowed(fixtures: Path, tmp_path: Path) -> None:
    with open_params(fixtures / "bort_4_8_24_32.params") as params:
        tensors = dict(params)
    tensors["decoder.0.bias"] = tensors["decoder.0.bias"].copy()
    tensors["decoder.0.bias"][3] = 1e6
    save_params(tmp_path / "x.params", tensors)
    with pytest.raises(MappingError, match=r"cls\.predictions\.transform\.dense\.bias: too large: 1 of its values"):
        convert(tmp_path / "x.params", tmp_path / "out", family="bort", heads=8, dtype="float16")
    assert not (tmp_path / "out").exists()
    convert(tmp_path / "x.params", tmp_path / "out", family="bort", heads=8, dtype="float16", allow_overflow=True)
    with open_tensors(tmp_path / "out" / "model.safetensors") as target:
        assert target["cls.predictions.transform.dense.bias"][3] == np.inf
