"""A classifier, converted with tokenizer and labels: its scores in transformers are those of GluonNLP on MXNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import convert
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference
from bort_convert.verification.trace import LOGITS

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

HEADS = 8
TEXTS = ("a", "the hat", "an other one, or two", "")


def converted(kind: str, fixtures: Path, out: Path, **options: Any) -> tuple[Any, Path]:  # noqa: ANN401 - transformers
    """The pipeline of a converted classifier, and the checkpoint."""
    from transformers import pipeline  # noqa: PLC0415

    source = fixtures / f"bort_4_8_24_32-{kind}.params"
    words = {"vocab": fixtures / "tiny.vocab", "bpe_ranks": fixtures / "tiny_ranks.txt"}
    convert(source, out, family="bort", heads=HEADS, **words, **options)
    return pipeline("text-classification", model=str(out), tokenizer=str(out), device="cpu"), source


def logits_of(source: Path, ids: list[int]) -> Array:
    """Logits of BortClassifier on MXNet in float32 (labels,)."""
    inputs = {"input_ids": np.array([ids]), "valid_length": np.array([len(ids)])}
    trace = run_reference(
        LiveReference(source, fit_checkpoint(source, family="bort", heads=HEADS)), inputs, dtypes=["float32"]
    )
    return trace.outputs["float32"][LOGITS][0]


def test_the_scores_are_those_of_the_classifier_on_mxnet(fixtures: Path, tmp_path: Path) -> None:
    labels = ["no", "maybe", "yes"]
    classify, source = converted("classifier3", fixtures, tmp_path / "out", labels=labels)
    for text in TEXTS:
        found = {entry["label"]: entry["score"] for entry in classify(text, top_k=None)}
        logits = logits_of(source, classify.tokenizer(text)["input_ids"]).astype(np.float64)
        scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert found == pytest.approx(dict(zip(labels, scores, strict=True)), abs=1e-5), text
    assert max(found.values()) - min(found.values()) > 1e-3, "the scores differ from one another"


def test_a_regression_gives_the_number_itself(fixtures: Path, tmp_path: Path) -> None:
    estimate, source = converted("regression", fixtures, tmp_path / "out")
    for text in TEXTS:
        (found,) = estimate(text, top_k=None)
        (expected,) = logits_of(source, estimate.tokenizer(text)["input_ids"])
        assert found["score"] == pytest.approx(expected, abs=1e-5), text
