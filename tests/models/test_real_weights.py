"""Trained weights in a directory that transformers wrote: to GluonNLP and back.

The model is the encoder of all-MiniLM-L6-v2, a BERT of six layers; `make real-weights` fetches it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from bort_convert.cli import main
from bort_convert.safetensors import open_tensors, save_tensors

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

SCRIPT = Path(__file__).parents[1] / "support" / "gluon_bert.py"
SIZE = (6, 12, 1536, 384, 30522, 512)  # in the order of `Size` in fixtures/gluon_models.py
COUNTER = "embeddings.position_ids"
# Largest difference between GluonNLP and transformers on the same weights and ids.
LIMITS = {"float32": 1e-5, "float64": 1e-12}
SENTENCES = (
    "The ferry leaves at six and comes back after dark.",
    "After dark the boat returns; it sets out at six o'clock.",
    "She planted three rows of beans behind the shed.",
    "Behind the shed grow three rows of beans.",
    "Our library closes early on Fridays.",
    "Is the museum open on a Sunday?",
    "He repaired the old radio with a piece of wire.",
    "A wire was all that he needed to mend the radio.",
    "Interest rates fell by a quarter of a point.",
    "The central bank lowered its rates, which surprised nobody.",
    "It rained so hard that the cellar flooded.",
    "Water stood in the cellar after the storm.",
    "Nobody answered the telephone.",
    "The translation of 1923 is better than the new one.",
    "Café owners in Zürich asked for quieter trams.",
    "My grandmother's recipe calls for 250 g of flour, two eggs & a pinch of salt!",
    "Go.",
    "The committee, which had met only twice in the preceding eleven months, postponed its decision once more.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Electroencephalographically speaking, he was asleep.",
)


@pytest.fixture(scope="module")
def back(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that `bort-convert export` makes of the directory."""
    path = tmp_path_factory.mktemp("real") / "back.params"
    done = CliRunner().invoke(main, ["export", str(real_weights), str(path)])
    assert done.exit_code == 0, done.stderr
    assert f"{path}: bert (language model) from model\n  103 arrays, structural names\n" in done.stdout
    assert f"  {COUNTER}: left out, counts positions and holds no weights\n" in done.stdout
    return path


@pytest.fixture(scope="module")
def out(back: Path) -> Path:
    """The directory that the checkpoint becomes."""
    folder = back.with_name("out")
    done = CliRunner().invoke(main, [str(back), str(folder), "--family", "bert", "--heads", "12"])
    assert done.exit_code == 0, done.stderr
    return folder


def tensors_of(folder: Path) -> dict[str, Array]:
    with open_tensors(folder / "model.safetensors") as file:
        return {name: file[name] for name in file}


def model_of(folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    from transformers import AutoModel  # noqa: PLC0415

    return AutoModel.from_pretrained(folder).eval()


def batch_of(folder: Path) -> Any:  # noqa: ANN401
    """The sentences, encoded by the directory's own tokenizer, padded."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    return AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")


def embeddings(folder: Path, batch: Any) -> Array:  # noqa: ANN401
    """Embeddings of the sentences (20, 384): the mean over their tokens, of length 1."""
    import torch  # noqa: PLC0415

    with torch.inference_mode():
        states = model_of(folder)(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].to(states.dtype)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()  # type: ignore[no-any-return]


def test_gluonnlp_computes_what_transformers_computes(
    real_weights: Path,
    back: Path,
    tmp_path: Path,
    add_table: Any,  # noqa: ANN401 - a function that prints
) -> None:
    import torch  # noqa: PLC0415

    batch = batch_of(real_weights)
    ids, types, mask = (batch[name].numpy() for name in ("input_ids", "token_type_ids", "attention_mask"))
    np.savez(tmp_path / "inputs.npz", ids=ids, types=types, lengths=mask.sum(1))
    job = {"path": back, "size": SIZE, "inputs": tmp_path / "inputs.npz", "out": tmp_path / "outputs.npz"}
    (tmp_path / "job.json").write_text(json.dumps(job, default=str), "utf-8")
    command = [sys.executable, "-W", "ignore", SCRIPT, tmp_path / "job.json"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    lines = []
    with np.load(tmp_path / "outputs.npz") as found:
        for dtype, limit in LIMITS.items():
            with torch.inference_mode():
                output = model_of(real_weights).to(getattr(torch, dtype))(**batch, output_hidden_states=True)
            names = ["embeddings", *(f"layer{number}" for number in range(SIZE[0]))]
            expected = dict(zip(names, output.hidden_states, strict=True))
            differences = {name: found[f"{dtype}/{name}"] - states.numpy() for name, states in expected.items()}
            worst = {name: float(np.abs(one[mask == 1]).max()) for name, one in differences.items()}
            worst["pooled"] = float(np.abs(found[f"{dtype}/pooled"] - output.pooler_output.numpy()).max())
            assert max(worst.values()) < limit, (dtype, worst)
            lines.append(f"{dtype}: largest difference {max(worst.values()):.1e}, limit {limit:.0e}")
    add_table("real weights, GluonNLP and transformers", lines)


def test_every_tensor_comes_back_bit_for_bit(real_weights: Path, out: Path) -> None:
    theirs, ours = tensors_of(real_weights), tensors_of(out)
    counter = theirs.pop(COUNTER)
    assert np.array_equal(counter, np.arange(SIZE[-1])[None])
    assert ours.keys() == theirs.keys()
    assert len(ours) == 103
    for name, array in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (array.dtype, array.shape), name
        assert ours[name].tobytes() == array.tobytes(), name


def test_the_embeddings_of_sentences_are_the_same_numbers(real_weights: Path, out: Path) -> None:
    batch = batch_of(real_weights)
    expected = embeddings(real_weights, batch)
    assert np.array_equal(embeddings(out, batch), expected)
    similarity = expected @ expected.T
    assert similarity[0, 1] > similarity[0, 8] + 0.4, "sentences of like meaning are close"


@pytest.mark.parametrize("place", [0, 511])
def test_a_counter_with_other_numbers_is_refused(real_weights: Path, tmp_path: Path, place: int) -> None:
    changed = tensors_of(real_weights)
    changed[COUNTER] = changed[COUNTER].copy()
    changed[COUNTER][0, place] += 1
    shutil.copy(real_weights / "config.json", tmp_path)
    save_tensors(tmp_path / "model.safetensors", changed, {})
    done = CliRunner().invoke(main, ["export", str(tmp_path), str(tmp_path.with_suffix(".params"))])
    assert done.exit_code == 3
    assert f"{COUNTER}: holds other numbers, expected the numbers 0 to 511, one for each row of" in done.stderr
    assert not tmp_path.with_suffix(".params").exists()
