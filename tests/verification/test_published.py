from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from borts import FULL, write_bort

from bort_convert.commands.convert import convert
from bort_convert.errors import FormatError
from bort_convert.model_dir.read import ModelDir
from bort_convert.verification import published, verify_published

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


def test_a_model_of_another_size_fails(converted: Path) -> None:
    report = verify_published(converted)
    assert not report
    assert report.headline == (
        "FAIL published output: config.json: vocab_size is 67, expected 50265: the released Bort has no other sizes"
    )


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"config.json: cannot be read"):
        verify_published(tmp_path)


def replace_model(monkeypatch: pytest.MonkeyPatch, folder: Path, last: np.ndarray) -> None:
    """Put a model of the released size in the place of every directory, with `last` as its last hidden state."""
    from bort_convert.verification import torch_run  # noqa: PLC0415

    directory = ModelDir(folder, published._SIZES, None, {}, ())  # noqa: SLF001
    monkeypatch.setattr(published, "read_model_dir", lambda _target: directory)
    monkeypatch.setattr(torch_run, "run_target", lambda *_: {"layer.3": last})


def published_state() -> np.ndarray:
    last = np.zeros((1, 15, 1024), np.float32)
    last[0, :3, :3] = published.EXPECTED
    return last


def test_the_published_numbers_pass_to_a_thousandth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    last = published_state()
    replace_model(monkeypatch, tmp_path, last)
    assert verify_published(tmp_path)
    last[0, 1, 2] += 9e-4
    assert verify_published(tmp_path)
    last[0, 1, 2] += 2e-4
    report = verify_published(tmp_path)
    assert report.headline == (
        "FAIL published output: last_hidden_state: max |d| 0.0011 at (batch 0, token 1, unit 2), limit 0.001, 9 values"
    )
    last[0, 1, 2] = np.nan
    assert "values of the target are not finite" in verify_published(tmp_path).headline


@pytest.mark.slow
def test_a_random_model_of_the_released_size_fails(tmp_path: Path) -> None:
    convert(write_bort(tmp_path / "bort.params", FULL), tmp_path / "out")
    report = verify_published(tmp_path / "out")
    assert not report
    assert report.worst is not None
    assert report.worst.max_abs > 0.1
