"""A checkpoint and its tokenizer, converted together: the answers in transformers are those of GluonNLP on MXNet."""

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


@pytest.mark.parametrize(
    ("stem", "words", "text", "ids"),
    [
        (
            "bert_2_2_8_8",
            "tiny_bert",
            "The [MASK] RABBIT  looked,Ab日ß!",
            [2, 6, 4, 8, 9, 17, 21, 31, 28, 29, 19, 3],
        ),
        ("bert_tiny", "tiny_bert_cased", "The [MASK] É.", [2, 6, 4, 9, 13, 3]),
    ],
    ids=["lower-case", "cased"],
)
def test_fill_mask_runs_on_a_bert_with_its_wordpiece_tokenizer(
    fixtures: Path,
    tmp_path: Path,
    *,
    stem: str,
    words: str,
    text: str,
    ids: list[int],
) -> None:
    import torch  # noqa: PLC0415
    from transformers import pipeline  # noqa: PLC0415

    out = tmp_path / "out"
    convert(fixtures / f"{stem}.params", out, family="bert", heads=2, vocab=fixtures / f"{words}.vocab")
    fill_mask = pipeline("fill-mask", model=str(out), tokenizer=str(out), device="cpu")
    batch = fill_mask.tokenizer(text, return_tensors="pt")
    assert batch["input_ids"].tolist() == [ids]
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask"}
    with torch.inference_mode():
        best = fill_mask.model(**batch).logits[0, ids.index(4)].softmax(-1).topk(3)
    found = fill_mask(text, top_k=3)
    assert [entry["token"] for entry in found] == best.indices.tolist()
    assert [entry["score"] for entry in found] == pytest.approx(best.values.tolist())
