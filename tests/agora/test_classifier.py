from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

pytestmark = pytest.mark.torch
TEXTS = ["The Queen shouted.", "Alice opened the door and went in, and nobody was there to see her."]


@pytest.fixture
def roberta(tmp_path: Path, little: str) -> str:
    """A random RoBERTa with the little Bort's tokenizer."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(little)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    transformers.RobertaForMaskedLM(config).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    return str(tmp_path / "roberta")


def head_of(model: torch.nn.Module) -> dict[str, Any]:
    return {name: values for name, values in model.named_parameters() if "pooler" in name or "classifier" in name}


def test_the_head_is_that_of_alexa_bort_and_new(little: str) -> None:
    import torch
    import transformers

    from bort_convert.agora.classifier import fresh_classifier

    torch.manual_seed(1)
    classifier = fresh_classifier(little, ("neg", "pos"), 16)
    head = head_of(classifier.model)
    dense = {"bert.pooler.dense.weight": (96, 96), "bert.pooler.dense.bias": (96,)}
    assert {name: tuple(values.shape) for name, values in head.items()} == {
        **dense,
        "classifier.weight": (2, 96),
        "classifier.bias": (2,),
    }
    for name, values in head.items():
        if name.endswith("bias"):
            assert not values.any()
        else:
            assert 0.45 < values.abs().max() <= 0.5
            assert values.std().item() == pytest.approx(1 / math.sqrt(12), rel=0.2)
    trained = transformers.AutoModelForMaskedLM.from_pretrained(little).state_dict()
    encoder = {name: values for name, values in classifier.model.state_dict().items() if name in trained}
    assert len(encoder) == 37
    assert all(torch.equal(values, trained[name]) for name, values in encoder.items())
    assert classifier.model.config.id2label == {0: "neg", 1: "pos"}


def test_the_computation_is_that_of_the_head_with_both_dropouts_in_training_alone(little: str) -> None:
    import torch

    from bort_convert.agora.classifier import DROPOUT, fresh_classifier

    torch.manual_seed(2)
    classifier = fresh_classifier(little, ("neg", "pos"), 16)
    model = classifier.model
    rows = classifier.encode(TEXTS)
    model.eval()
    first = classifier.tokenizer.pad(rows, return_tensors="pt")
    token = model.bert(**first).last_hidden_state[:, 0]
    weights = {name: values.detach() for name, values in head_of(model).items()}
    hidden = torch.tanh(token @ weights["bert.pooler.dense.weight"].T + weights["bert.pooler.dense.bias"])
    expected = hidden @ weights["classifier.weight"].T + weights["classifier.bias"]
    torch.testing.assert_close(classifier.logits(rows), expected)

    seen: list[torch.Tensor] = []
    for dense in (model.bert.pooler.dense, model.classifier):
        dense.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    model.train()
    classifier.logits(classifier.encode([TEXTS[0]] * 64))
    shares = [(values == 0).float().mean().item() for values in seen]
    assert shares == pytest.approx([DROPOUT, DROPOUT], abs=0.02)


def test_a_roberta_gets_the_stock_head_and_is_cut_at_its_positions(roberta: str) -> None:
    import torch

    from bort_convert.agora.classifier import fresh_classifier

    torch.manual_seed(3)
    classifier = fresh_classifier(roberta, ("no", "yes"), 512)
    head = head_of(classifier.model)
    assert {name: tuple(values.shape) for name, values in head.items() if "weight" in name} == {
        "classifier.dense.weight": (16, 16),
        "classifier.out_proj.weight": (2, 16),
    }
    assert all(values.abs().max() > 0.4 for name, values in head.items() if "weight" in name)
    rows = classifier.encode(["word " * 100])
    assert len(rows[0]["input_ids"]) == 32
    assert classifier.logits(rows).isfinite().all()


def test_a_saved_classifier_is_loaded_by_transformers_and_by_us_and_its_own_head_stays(
    little: str, tmp_path: Path
) -> None:
    import torch
    import transformers

    from bort_convert.agora.classifier import fresh_classifier, trained_classifier

    torch.manual_seed(4)
    classifier = fresh_classifier(little, ("neg", "pos"), 16)
    expected = classifier.probabilities(classifier.encode(TEXTS), 1)
    classifier.save(str(tmp_path / "saved"))
    again = trained_classifier(str(tmp_path / "saved"), 16)
    torch.testing.assert_close(again.probabilities(again.encode(TEXTS), 2), expected)
    answers = transformers.pipeline("text-classification", str(tmp_path / "saved"))(
        TEXTS, truncation=True, max_length=16
    )
    assert [answer["label"] for answer in answers] == [("neg", "pos")[int(row.argmax())] for row in expected]
    assert [answer["score"] for answer in answers] == pytest.approx(expected.max(-1).values.tolist(), rel=1e-4)
    # As a candidate it is untrained: the head is made anew, and the encoder kept.
    torch.manual_seed(5)
    fresh = fresh_classifier(str(tmp_path / "saved"), ("neg", "pos"), 16)
    assert not torch.equal(fresh.model.classifier.weight, again.model.classifier.weight)


def test_pairs_and_frozen_embeddings(little: str) -> None:
    import torch

    from bort_convert.agora.classifier import freeze, fresh_classifier

    torch.manual_seed(6)
    classifier = fresh_classifier(little, ("neg", "pos"), 24)
    pair, single = classifier.encode([(TEXTS[0], TEXTS[1])]), classifier.encode([TEXTS[0]])
    assert pair[0]["input_ids"][: len(single[0]["input_ids"])] == single[0]["input_ids"]
    assert len(pair[0]["input_ids"]) > len(single[0]["input_ids"])
    freeze(classifier.model, ("embeddings",))
    frozen = [name for name, values in classifier.model.named_parameters() if not values.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]
    with pytest.raises(OptionError, match=r"freeze='layers'.*expected \"embeddings\""):
        freeze(classifier.model, ("layers",))


def test_texts_that_are_cut_are_counted(little: str) -> None:
    from bort_convert.agora.classifier import truncated_rows

    assert truncated_rows(little, [*TEXTS, "word " * 500], 16) == [1, 2]
    assert truncated_rows(little, [*TEXTS, "word " * 500], 1000) == [2]  # 128 positions
    assert truncated_rows(little, [], 16) == []


def test_a_device_that_is_not_there_is_refused() -> None:
    from bort_convert.agora.classifier import check_device

    check_device("cpu")
    for device in ("cuda:99", "gpu"):
        with pytest.raises(OptionError, match=rf"device='{device}'`: torch cannot use it: .*or choose `device='cpu'`"):
            check_device(device)


def test_what_cannot_be_a_candidate_or_a_classifier_is_refused(little: str, tmp_path: Path) -> None:
    from bort_convert.agora.classifier import fresh_classifier, trained_classifier

    with pytest.raises(OptionError, match=r"candidate=.*transformers cannot load"):
        fresh_classifier(str(tmp_path), ("neg", "pos"), 16)
    with pytest.raises(OptionError, match=r"has no trained classification head: .*classifier.weight"):
        trained_classifier(little, 16)
