"""The config of GluonNLP 1.0 beside a checkpoint: what it says counts, and what contradicts the file is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert.cli import main
from bort_convert.errors import FormatError, MappingError, VariantError
from bort_convert.verification.reference import fit_as_converted

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def beside(shared: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy a checkpoint of the corpus and write its config beside it, as yacs does, with these changes."""

    def make(name: str, file: str = "model-0a1b2c3d.yml", **changes: object) -> Path:
        import yaml  # noqa: PLC0415 - comes with transformers

        corpus = shared / "corpus" / "gluonnlp1"
        config: dict[str, Any] = json.loads((corpus / f"{name}.json").read_text())["config"]
        config = config if "MODEL" in config else {"MODEL": config, "VERSION": 1}
        config["MODEL"] |= changes
        (tmp_path / file).write_text(yaml.safe_dump(config))
        return Path(shutil.copy(corpus / f"{name}.params", tmp_path / "model-4e5f6a7b.params"))

    return make


@pytest.mark.shared
@pytest.mark.torch
@pytest.mark.parametrize(
    "name",
    ["albert_pretrain_a", "bert_mlm_a", "electra_gen_a", "electra_disc_a", "mobilebert_mlm_a", "gpt2_lm_a", "bart_lm_a",
     "t5_model_a", "mt5_model_a", "roberta_mlm_a"],
)  # fmt: skip
def test_a_config_says_what_the_file_does_not_show(beside: Callable[..., Path], tmp_path: Path, name: str) -> None:
    family = "roberta-1.0" if name.startswith("roberta") else None
    manifest = bort_convert.convert(beside(name), tmp_path / "out", family=family)  # type: ignore[arg-type]
    known = {**manifest.hyperparameters, **manifest.dims}
    assert known["attention_heads"] == 4
    assert known["layers"] == (3 if name[:2] in {"al", "be", "el", "gp", "ro"} else 2)
    assert manifest.options["original_config"]["name"] == "model-0a1b2c3d.yml"
    assert manifest.options["original_config"]["values"]["attention_heads"] == 4
    bort_convert.export(tmp_path / "out", tmp_path / "back.params")


@pytest.mark.shared
@pytest.mark.torch
def test_another_epsilon_and_activation_are_taken_from_the_config(beside: Callable[..., Path], tmp_path: Path) -> None:
    source = beside("bert_backbone_a", layer_norm_eps=1e-7, activation="gelu(tanh)")
    bort_convert.convert(source, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["layer_norm_eps"], config["hidden_act"]) == (1e-7, "gelu_new")


@pytest.mark.shared
@pytest.mark.torch
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_layers": 5}, "names and shapes are those of 3 layers"),
        ({"num_heads": 5}, "expected a number that divides hidden_size=24"),
        ({"units": 48}, "hidden_size is 48, and 24 in the file"),
        ({"vocab_size": 60, "max_length": 17}, "max_positions is 17, and 16 in the file"),
        ({"activation": "mish"}, "hidden_act is 'mish', expected one of gelu"),
        ({"pos_embed_type": "sinusoidal"}, "pos_embed_type is 'sinusoidal', expected 'learned'"),
    ],
)
def test_a_config_that_contradicts_the_file_is_refused(
    beside: Callable[..., Path], tmp_path: Path, changes: dict[str, object], line: str
) -> None:
    with pytest.raises(MappingError, match=r"^model-0a1b2c3d\.yml, beside the file, contradicts it") as caught:
        bort_convert.convert(beside("bert_pretrain_a", **changes), tmp_path / "out")
    assert line in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.shared
@pytest.mark.torch
def test_what_a_user_gives_is_compared_with_the_config(beside: Callable[..., Path], tmp_path: Path) -> None:
    source = beside("albert_backbone_a")
    with pytest.raises(MappingError, match="layers is 3, and 6 in the file or by what was given"):
        bort_convert.convert(source, tmp_path / "out", layers=6)


@pytest.mark.shared
@pytest.mark.torch
def test_a_verification_needs_no_config_once_it_is_recorded(beside: Callable[..., Path], tmp_path: Path) -> None:
    source = beside("albert_backbone_a")
    manifest = bort_convert.convert(source, tmp_path / "out")
    (tmp_path / "model-0a1b2c3d.yml").unlink()
    assert fit_as_converted(source, manifest).plan.dims["layers"] == 3
    with pytest.raises(VariantError, match="layers"):
        bort_convert.convert(source, tmp_path / "again")


@pytest.mark.shared
@pytest.mark.torch
def test_of_several_configs_none_is_read_but_one_of_the_files_own_name(
    beside: Callable[..., Path], tmp_path: Path
) -> None:
    source = beside("albert_backbone_a")
    (tmp_path / "model-ffffffff.yml").write_text("not: [a, config")
    with pytest.raises(VariantError, match="layers"):
        bort_convert.convert(source, tmp_path / "out")
    shutil.copy(tmp_path / "model-0a1b2c3d.yml", source.with_suffix(".yml"))
    shown = CliRunner().invoke(main, [str(source), str(tmp_path / "out")]).stdout
    assert "attention_heads 4, layers 3" in shown
    assert "as model-4e5f6a7b.yml says, which lies beside the file" in shown


@pytest.mark.shared
@pytest.mark.torch
def test_a_generator_has_fractions_of_the_sizes_in_its_config(beside: Callable[..., Path], tmp_path: Path) -> None:
    sizes = {"units": 96, "hidden_size": 96, "num_heads": 16, "generator_units_scale": 0.25}
    manifest = bort_convert.convert(beside("electra_gen_a", **sizes), tmp_path / "out")
    assert manifest.hyperparameters["attention_heads"] == 4


def test_a_config_beside_a_file_of_0_x_is_not_read(tmp_path: Path) -> None:
    source = Path(shutil.copy(FIXTURES / "bort_4_8_24_32.params", tmp_path / "model.params"))
    (tmp_path / "model-1.yml").write_text("no: such: config")
    bort_convert.convert(source, tmp_path / "out", family="bort", heads=8)
    with pytest.raises(VariantError, match="heads"):
        bort_convert.convert(source, tmp_path / "again", family="bort")
    (tmp_path / "model-1.yml").write_text("MODEL:\n  num_heads: 4\n")
    with pytest.raises(VariantError, match="heads"):
        bort_convert.convert(source, tmp_path / "again", family="bort")


@pytest.mark.shared
def test_a_config_that_is_too_long_or_no_text_is_refused(shared: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(shared / "corpus" / "gluonnlp1" / "bert_qa_a.params", tmp_path / "model.params"))
    for content, problem in ((b"A: 1\n" * 20_000, "has more than 65,536 bytes"), (b"A: \xff\n", "cannot be read")):
        (tmp_path / "model.yml").write_bytes(content)
        with pytest.raises(FormatError, match=problem):
            bort_convert.convert(source, tmp_path / "out", heads=4)
