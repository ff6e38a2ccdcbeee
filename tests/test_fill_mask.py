"""The whole way: a checkpoint and a tokenizer of GluonNLP, converted, answer in transformers as they did on MXNet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bort_convert import convert

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


def test_fill_mask_in_transformers_answers_as_gluonnlp_did(fixtures: Path, tmp_path: Path) -> None:
    from transformers import pipeline  # noqa: PLC0415

    folder, out = fixtures / "little_bort", tmp_path / "out"
    predictions = json.loads((folder / "predictions.json").read_text("utf-8"))
    convert(
        folder / "little_bort.params",
        out,
        family="bort",
        heads=predictions["heads"],
        vocab=folder / "little_bort.vocab",
        bpe_ranks=folder / "little_bort_ranks.txt",
    )
    fill_mask = pipeline("fill-mask", model=str(out), tokenizer=str(out), device="cpu")
    for answer in predictions["answers"]:
        found = fill_mask(answer["prompt"], top_k=len(answer["top"]))
        assert [entry["token"] for entry in found] == [entry["id"] for entry in answer["top"]], answer["prompt"]
        for one, other in zip(found, answer["top"], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-4)
            assert one["token_str"] == other["token"].replace("Ġ", " ")
