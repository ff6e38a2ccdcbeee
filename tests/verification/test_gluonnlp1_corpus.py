"""Conversions of GluonNLP 1.0's checkpoints against the outputs that the original gave, at every layer and head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.trace import HEADS, is_valid

if TYPE_CHECKING:
    from bort_convert.verification.behaviour import BehaviourResult

pytestmark = [pytest.mark.torch, pytest.mark.shared]

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gluonnlp1"
REFUSED = ("bert_qa_conditional_a", "electra_classifier_a", "transformer_nmt_a")
"""Checkpoints that no class of transformers computes."""
NAMES = sorted({path.stem for path in CORPUS.glob("*.npz")} - {*REFUSED})
LISTS = sorted(path.stem for path in (CORPUS / "lists").glob("*.params") if path.stem != "roberta_old_a")
FLOAT32 = {
    "bert": (5.2e-6, 4.4e-6),
    "albert": (2.9e-6, 3.8e-6),
    "electra": (3.6e-6, 2.5e-6),
    "mobilebert": (1.9e-4, 1.4e-4),
    "roberta": (2.0e-6, 3.8e-6),
    "xlmr": (1.9e-6, 3.8e-6),
    "gpt2": (6.2e-6, 2.4e-6),
    "bart": (3.3e-6, 3.6e-6),
    "t5": (8.1e-6, 3.4e-6),
    "mt5": (5.7e-5, 1.8e-5),
}
"""Family -> largest differences of layers and of heads in float32, as measured before there was a table."""
SHARP = ("bert", "electra", "albert", "t5")


def limits_of(name: str, dtype: str) -> tuple[float, float]:
    """Largest differences of layers and of heads."""
    family = name.partition("_")[0]
    if dtype == "float64":
        return (1e-13, 1e-13) if family in SHARP else (1e-11, 1e-11)
    layers, heads = FLOAT32[family]
    return 2 * layers, 2 * heads


def compared(name: str, folder: Path) -> BehaviourResult:
    """Convert a checkpoint and compare what torch computes with the original's outputs."""
    from gluonnlp1_corpus import Float32Parts, checkpoint_at  # noqa: PLC0415 - torch is loaded when it is needed

    checkpoint = checkpoint_at(CORPUS, name)
    convert(checkpoint.path, folder, **checkpoint.options)
    directory = read_model_dir(folder)
    with Float32Parts():
        return check_behaviour(checkpoint.trace(directory), directory, ("float64", "float32"), limits=Limits())


def test_the_corpus_is_whole(shared: Path) -> None:
    assert shared.samefile(CORPUS.parents[1])
    assert (len(NAMES), len(LISTS)) == (30, 19)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_and_head_agrees_with_the_original(name: str, tmp_path: Path) -> None:
    result = compared(name, tmp_path / "out")
    assert {run.dtype for run in result.runs} == {"float64", "float32"}, result.check.detail
    for run in result.runs:
        layers, heads = limits_of(name, run.dtype)
        for output in run.layers:
            assert not output.problem, f"{output.name}: {output.problem}"
            assert output.max_abs <= (heads if output.name in HEADS else layers), (run.dtype, output.name)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_file_gives_the_same_weights_as_the_archive(name: str, tmp_path: Path) -> None:
    from gluonnlp1_corpus import checkpoint_at  # noqa: PLC0415

    checkpoint = checkpoint_at(CORPUS, name)
    for folder, path in (("archive", checkpoint.path), ("list", CORPUS / "lists" / f"{name}.params")):
        convert(path, tmp_path / folder, **checkpoint.options)
    weights = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("archive", "list")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", ["albert_backbone_a", "electra_backbone_a"])
def test_narrow_embeddings_agree_before_they_are_widened(name: str, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from gluonnlp1_corpus import checkpoint_at  # noqa: PLC0415

    from bort_convert.verification import torch_run  # noqa: PLC0415

    checkpoint = checkpoint_at(CORPUS, name)
    convert(checkpoint.path, tmp_path / "out", **checkpoint.options)
    model = torch_run.load_model(read_model_dir(tmp_path / "out"), "float64")
    torch_run.apply_module_overrides(model, {}, as_float32=True)
    inputs = checkpoint.inputs()
    ids, types = (torch.from_numpy(inputs[key]) for key in ("input_ids", "token_types"))
    found = model.base_model.embeddings(input_ids=ids, token_type_ids=types).detach().numpy()
    assert abs(found - checkpoint.arrays["emb.0"])[is_valid(inputs)].max() < 1e-13


@pytest.mark.parametrize("name", ["gpt2_lm_a", "bart_lm_a", "t5_model_a"])
def test_generation_gives_the_tokens_that_the_recorded_logits_imply(name: str, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from gluonnlp1_corpus import checkpoint_at  # noqa: PLC0415

    from bort_convert.commands.load import load_pretrained  # noqa: PLC0415

    checkpoint = checkpoint_at(CORPUS, name)
    convert(checkpoint.path, tmp_path / "out", **checkpoint.options)
    model = load_pretrained(tmp_path / "out")
    logits, inputs = checkpoint.logits(), checkpoint.inputs()
    steps = 0
    for row, read in enumerate(inputs.get("decoder_input_ids", inputs["input_ids"])):
        length = inputs.get("decoder_valid_length", inputs["valid_length"])[row]
        for token in range(length):
            prefix = torch.from_numpy(read[None, : token + 1])
            source: dict[str, Any] = {"input_ids": prefix}
            if checkpoint.with_decoder:
                ids = torch.from_numpy(inputs["input_ids"][row : row + 1, : inputs["valid_length"][row]])
                source = {"input_ids": ids, "decoder_input_ids": prefix, "decoder_start_token_id": int(read[0])}
            # One token for each prefix, which begins as it is; no end is forced.
            found = model.generate(
                **source, max_new_tokens=1, do_sample=False, num_beams=1, eos_token_id=None, forced_eos_token_id=None
            )
            assert int(found[0, -1]) == int(logits[row, token].argmax()), (row, token)
            steps += 1
    assert steps >= 15
