"""GPT-2 and XLNet against outputs of the scripts that made them, which ../shared has."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert.commands.convert import convert
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification import record, verify
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

pytestmark = [pytest.mark.shared, pytest.mark.torch]
LIMIT = 2e-6


@dataclass(frozen=True)
class Original:
    """A checkpoint that a script wrote, and the outputs that the script computed.

    Attributes:
        file: name of the checkpoint without its ending.
        outputs: name of the file of outputs without its ending.
        hyperparameters: what the checkpoint does not tell.
        wrong: hyperparameters of another model, with the least difference that they make; None for none.
    """

    file: str
    outputs: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[dict[str, Any], float] | None = None

    @property
    def family(self) -> str:
        return "gpt2" if self.file.startswith("gpt") else "xlnet"


ORIGINALS = [
    *(
        Original(f"gpt_script083{form}", "gpt_script083", wrong=({"activation": "gelu"}, 2e-4))
        for form in ("", "-prefix", "-dedup")
    ),
    Original("gpt_small", "gpt_small", wrong=({"activation": "gelu"}, 2e-4)),
    *(Original(f"xl_lm{form}", "xl_lm", wrong=({"hidden_act": "gelu"}, 2e-4)) for form in ("", "-prefix", "-dedup")),
    Original("xl_bare", "xl_bare", wrong=({"clamp_len": 5}, 1e-2)),
    Original("xl_gelu", "xl_gelu", {"hidden_act": "gelu"}, wrong=({}, 2e-4)),
    Original("xl_clamp", "xl_clamp", {"clamp_len": 5}, wrong=({"clamp_len": 4}, 1e-2)),
]
every = pytest.mark.parametrize("original", ORIGINALS, ids=lambda original: original.file)


def known(shared: Path, original: Original) -> dict[str, Array]:
    with np.load(shared / "corpus" / "originals" / f"{original.outputs}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def source(shared: Path, original: Original) -> Path:
    return shared / "corpus" / "originals" / f"{original.file}.params"


def options(original: Original) -> dict[str, Any]:
    return {"family": original.family, **({"heads": 4} if original.family == "gpt2" else {})}


def difference(expected: dict[str, Array], model: Any) -> float:  # noqa: ANN401 - a transformers model
    """The largest difference of a model's output at valid positions."""
    import torch  # noqa: PLC0415

    ids = torch.from_numpy(expected["ids"].astype(np.int64))
    with torch.no_grad():
        if "lens" not in expected:
            return float(np.abs(model(ids).logits.numpy() - expected["logits"]).max())
        valid = np.arange(ids.shape[1]) < expected["lens"][:, None]
        found = model(
            ids,
            attention_mask=torch.from_numpy(valid.astype(np.int64)),
            token_type_ids=torch.from_numpy(expected["tt"].astype(np.int64)),
        )
    return float(np.abs(found[0].numpy() - expected["out"])[valid].max())


@every
def test_the_loaded_model_computes_what_the_script_computed(original: Original, shared: Path, tmp_path: Path) -> None:
    from bort_convert import load_pretrained  # noqa: PLC0415

    expected = known(shared, original)
    convert(source(shared, original), tmp_path / "out", hyperparameters=original.hyperparameters, **options(original))
    model = load_pretrained(tmp_path / "out")
    assert difference(expected, model) < LIMIT
    assert difference(expected, copy.deepcopy(pickle.loads(pickle.dumps(model)))) < LIMIT  # noqa: S301 - ours
    stock = type(model).from_pretrained(tmp_path / "out", local_files_only=True).eval()
    if "clamp_len" in original.hyperparameters:
        assert difference(expected, stock) > 1e-2
    else:
        assert difference(expected, stock) < LIMIT
    if original.wrong is not None:
        wrong, least = original.wrong
        convert(source(shared, original), tmp_path / "wrong", hyperparameters=wrong, **options(original))
        assert difference(expected, load_pretrained(tmp_path / "wrong")) > least


@pytest.mark.mxnet
@every
def test_our_network_in_mxnet_computes_what_the_script_computed(original: Original, shared: Path) -> None:
    expected, path = known(shared, original), source(shared, original)
    fit = fit_checkpoint(path, hyperparameters=original.hyperparameters, **options(original))
    ids = expected["ids"].astype(np.int64)
    lengths = expected["lens"] if "lens" in expected else np.full(len(ids), ids.shape[1])
    inputs = {"input_ids": ids, "valid_length": lengths.astype(np.int64)}
    if "tt" in expected:
        inputs["token_types"] = expected["tt"].astype(np.int64)
    whole = expected["out"] if "out" in expected else expected["logits"]
    outputs = "lm_logits" if fit.architecture.endswith("LMHeadModel") else f"layer.{fit.plan.dims['layers'] - 1}"
    if outputs == "lm_logits":
        inputs["masked_positions"] = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
    trace = run_reference(LiveReference(path, fit), inputs, dtypes=("float32", "float64"))
    valid = np.arange(ids.shape[1]) < lengths[:, None]
    for arrays in trace.outputs.values():
        assert np.abs(arrays[outputs] - whole)[valid].max() < LIMIT


@pytest.mark.mxnet
@pytest.mark.parametrize("original", [ORIGINALS[0], *ORIGINALS[-2:]], ids=lambda original: original.file)
def test_verify_and_record_go_by_the_hyperparameters_that_were_given(
    original: Original, shared: Path, tmp_path: Path
) -> None:
    path, given = source(shared, original), original.hyperparameters
    convert(path, tmp_path / "out", hyperparameters=given, **options(original))
    report = verify(path, tmp_path / "out")
    assert report, report.headline
    notes = [note for note in report.notes if "the clamp length of relative positions, 5" in note]
    assert bool(notes) == ("clamp_len" in given)
    assert original.wrong is not None
    convert(path, tmp_path / "wrong", hyperparameters=original.wrong[0], **options(original))
    assert read_model_dir(tmp_path / "wrong").module_overrides == {
        name: value for name, value in original.wrong[0].items() if name == "clamp_len"
    }
    record(path, tmp_path / "trace", hyperparameters=given, **options(original))
    assert verify(tmp_path / "trace", tmp_path / "out")
    failing = verify(tmp_path / "trace", tmp_path / "wrong")
    assert [check.passed for check in failing.checks[:3]] == [False, True, False]
