"""Exports without a framework: converted directories come back bit for bit, other tensors are refused.

A directory without its conversion.json stands for one that bort_convert did not write.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from bort_convert import cli, convert, export, open_params
from bort_convert.errors import FormatError, MappingError, OptionError, OutputError, VariantError
from bort_convert.models.registry import fit_source
from bort_convert.safetensors import open_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.dtypes import Array

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEADS = {"bort_4_8_24_32": 8, "bort_2_3_24_24": 3, "gpt2_2_3_48_12": 3} | dict.fromkeys(
    ("bert_2_2_8_8", "distilbert_2_2_8_8", "ernie_2_2_8_8", "roberta_2_2_8_8", "xlnet_2_2_8_8"), 2
)
# A form with tensors beside the model has the names of its source alone; tests/models/test_script_forms.py has it.
SOURCES = sorted(path for stem in HEADS for path in FIXTURES.glob(f"{stem}*.params") if "-intent" not in path.stem)
TYPES = "bert.embeddings.token_type_embeddings.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_ids"
NORM = "bert.embeddings.LayerNorm.bias"
OUTPUT = "cls.predictions.decoder.weight"
TIED = {
    "decoder.3.weight": "word_embed.0.weight",
    "_logits_proj.weight": "_embed.weight",
    "_net.decoder.weight": "_net.word_embed.weight",
}
COUNTER = re.compile("(?<=encoder)[0-9]+|(?<=model)[0-9]+|(?<=classifier)[0-9]+|(?<=xlnet)[0-9]+")
Tensors = dict[str, "Array"]


def arrays_of(path: Path) -> Tensors:
    with open_params(path) as params:
        return {name: np.array(array) for name, array in params.items()}


def converted(source: Path, target: Path, **options: Any) -> Path:  # noqa: ANN401 - arguments of convert
    convert(source, target, family=source.name.split("_")[0], heads=heads_of(source), **options)
    return target


def structural(source: Path) -> Tensors:
    """Read the arrays of a checkpoint by structural name, whatever its naming scheme and table."""
    with open_params(source) as params:
        names = fit_source(params.specs, family=source.name.split("_")[0], heads=heads_of(source)).names
        return {name: np.array(params[stored]) for name, stored in names.items()}


def heads_of(source: Path) -> int:
    return next(heads for stem, heads in HEADS.items() if source.name.startswith(stem))


def assert_same(arrays: Tensors, expected: Tensors) -> None:
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape), name
        assert arrays[name].tobytes() == array.tobytes(), name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out")


@pytest.fixture
def unlisted(out: Path) -> Path:
    (out / "conversion.json").unlink()
    return out


def changed(folder: Path, **tensors: Array | None) -> Path:
    """Change tensors of a directory; None removes one."""
    with open_tensors(folder / "model.safetensors") as file:
        kept = {name: file[name] for name in file} | tensors
    (folder / "model.safetensors").unlink()
    save_tensors(folder / "model.safetensors", {name: array for name, array in kept.items() if array is not None}, {})
    return folder


def configured(folder: Path, **values: object) -> Path:
    """Change keys of a directory's config; None removes one."""
    config = json.loads((folder / "config.json").read_text("utf-8")) | values
    text = json.dumps({key: value for key, value in config.items() if value is not None})
    (folder / "config.json").write_text(text, "utf-8")
    return folder


def tensor(folder: Path, name: str) -> Array:
    with open_tensors(folder / "model.safetensors") as file:
        return file[name]


def disagreements(folder: Path) -> tuple[str, ...]:
    """Export a directory that is refused; return the disagreements."""
    with pytest.raises(MappingError) as caught:
        export(folder, folder.parent / "back.params", family="bort")
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    return caught.value.disagreements


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_checkpoint_comes_back_bit_for_bit_under_structural_names(source: Path, tmp_path: Path) -> None:
    manifest = export(converted(source, tmp_path / "out"), tmp_path / "back.params")
    back, expected = arrays_of(tmp_path / "back.params"), arrays_of(source)
    if any("." in name for name in expected):
        assert_same(back, expected)
    else:
        aliases = {name: original for name, original in TIED.items() if name in back}
        assert_same({name: array for name, array in back.items() if name not in aliases}, structural(source))
        assert all(back[name].tobytes() == back[original].tobytes() for name, original in aliases.items())
    assert manifest.notes[0] == f"the arrays of {source.name}, bit for bit"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_checkpoint_comes_back_bit_for_bit_under_prefixed_names(source: Path, tmp_path: Path) -> None:
    export(converted(source, tmp_path / "out"), tmp_path / "back.params", names="prefix")
    back, expected = arrays_of(tmp_path / "back.params"), arrays_of(source)
    assert not any("." in name for name in back)
    if "prefix" in source.stem:
        expected = {COUNTER.sub("0", name): array for name, array in expected.items()}
        assert_same(back, expected)
    again = converted(_named(tmp_path / "back.params", source), tmp_path / "again")
    for name in ("model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def _named(path: Path, source: Path) -> Path:
    return path.rename(path.with_name(f"{source.stem}-back.params"))


@pytest.mark.parametrize("names", ["structural", "prefix"])
@pytest.mark.parametrize("kind", ["", "-encoder", "-classifier3", "-fp16"])
def test_shards_and_a_missing_manifest_give_the_same_file(kind: str, names: str, tmp_path: Path) -> None:
    source = FIXTURES / f"bort_4_8_24_32{kind}.params"
    shards = converted(source, tmp_path / "shards", max_shard_size="30KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    unlisted = converted(source, tmp_path / "unlisted")
    (unlisted / "conversion.json").unlink()
    for folder in (shards, unlisted):
        export(folder, tmp_path / f"{folder.name}.params", family="bort", names=names)
    assert (tmp_path / "shards.params").read_bytes() == (tmp_path / "unlisted.params").read_bytes()


def test_without_a_manifest_the_config_tells_a_bert_from_an_ernie(tmp_path: Path) -> None:
    for family in ("bert", "ernie"):
        source = FIXTURES / f"{family}_2_2_8_8.params"
        out = converted(source, tmp_path / family)
        (out / "conversion.json").unlink()
        named = "ernie" if family == "ernie" else None  # whose head runs another activation than the stock class's
        assert export(out, tmp_path / f"{family}.params", family=named).family == family
        assert_same(arrays_of(tmp_path / f"{family}.params"), arrays_of(source))


def test_a_stock_bert_with_relu_is_no_ernie_unless_the_user_says_so(tmp_path: Path) -> None:
    out = converted(FIXTURES / "ernie_2_2_8_8.params", tmp_path / "out")
    (out / "conversion.json").unlink()
    with pytest.raises(MappingError, match="the class runs relu in its masked-language-model head"):
        export(out, tmp_path / "back.params")
    assert not (tmp_path / "back.params").exists()


def test_without_a_manifest_a_bare_encoder_of_no_published_size_needs_its_family(tmp_path: Path) -> None:
    out = converted(FIXTURES / "distilbert_2_2_8_8.params", tmp_path / "out")
    (out / "conversion.json").unlink()
    with pytest.raises(VariantError) as error:
        export(out, tmp_path / "back.params")
    assert (error.value.missing, error.value.candidates) == (("family",), ("bort", "distilbert"))
    assert export(out, tmp_path / "back.params", family="distilbert").family == "distilbert"


def test_without_a_manifest_the_first_table_that_fits_is_taken_and_noted(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32-regression.params", tmp_path / "out")
    assert "classifier.0.weight" in export(out, tmp_path / "known.params").tensors
    (out / "conversion.json").unlink()
    manifest = export(out, tmp_path / "back.params")
    assert {"classifier.1.weight", "classifier.3.weight"} <= manifest.tensors.keys()
    assert manifest.notes == (
        "written as 'classifier'; what a directory holds does not tell it from 'classifier without dropout'",
    )


def test_the_manifest_lists_arrays_and_their_tensors(out: Path, tmp_path: Path) -> None:
    manifest = export(out, tmp_path / "back.params")
    known = json.loads((out / "conversion.json").read_text("utf-8"))["tensors"]
    query = manifest.tensors["encoder.transformer_cells.2.attention_cell.proj_query.weight"]
    assert query.sources == ("bert.encoder.layer.2.attention.self.query.weight",)
    assert (query.op, query.dtype, query.shape) == ("copy", "float32", (32, 32))
    for entry in manifest.tensors.values():
        assert entry.sha256 == known[entry.sources[0]]["sha256"]
    assert manifest.tied == {"decoder.3.weight": "word_embed.0.weight"}
    assert manifest.left_out == {TYPES: "Bort has no segment embedding"}
    assert (manifest.source.name, manifest.source.size) == ("out", 4 * (29_688 + 32))
    assert manifest.options == {"names": "structural"}


def test_progress_counts_every_byte_once(out: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export(out, tmp_path / "back.params", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) == 74
    assert seen[-1] == (4 * (29_688 + 120 * 32),) * 2


def test_a_fine_tuned_model_is_exported_with_a_note(out: Path, tmp_path: Path) -> None:
    query = "bert.encoder.layer.2.attention.self.query.weight"
    changed(out, **{query: tensor(out, query) + 1})
    manifest = export(out, tmp_path / "back.params")
    assert manifest.notes == ("1 of 73 tensors are no longer those of bort_4_8_24_32.params",)
    expected = arrays_of(FIXTURES / "bort_4_8_24_32.params")
    expected["encoder.transformer_cells.2.attention_cell.proj_query.weight"] += 1
    assert_same(arrays_of(tmp_path / "back.params"), expected)


def test_without_digests_no_note_claims_equal_bits(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out", checksums=False)
    assert "has no digests that would show whether" in export(out, tmp_path / "back.params").notes[0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_is_kept_and_noted(dtype: str, tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out", dtype=dtype)
    cast, loading = export(out, tmp_path / "back.params").notes
    assert cast == f"the conversion cast every tensor to {dtype}: these are not the bits of bort_4_8_24_32.params"
    assert ("cast_dtype=True" if dtype == "float16" else "release 1.7") in loading
    wanted = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    source = arrays_of(FIXTURES / "bort_4_8_24_32.params")
    assert_same(arrays_of(tmp_path / "back.params"), {name: array.astype(wanted) for name, array in source.items()})


def test_aliases_and_position_ids_of_older_releases_are_left_out(unlisted: Path, tmp_path: Path) -> None:
    gamma = "bert.encoder.layer.0.output.LayerNorm"
    changed(
        unlisted,
        **{
            OUTPUT: tensor(unlisted, WORDS),
            "cls.predictions.decoder.bias": tensor(unlisted, "cls.predictions.bias"),
            POSITIONS: np.arange(24).reshape(1, 24),
            f"{gamma}.gamma": tensor(unlisted, f"{gamma}.weight"),
            f"{gamma}.beta": tensor(unlisted, f"{gamma}.bias"),
            f"{gamma}.weight": None,
            f"{gamma}.bias": None,
        },
    )
    manifest = export(unlisted, tmp_path / "back.params")
    assert_same(arrays_of(tmp_path / "back.params"), arrays_of(FIXTURES / "bort_4_8_24_32.params"))
    assert manifest.left_out == {
        TYPES: "Bort has no segment embedding",
        OUTPUT: f"equals {WORDS}: tied",
        "cls.predictions.decoder.bias": "equals cls.predictions.bias: tied",
        POSITIONS: "counts positions and holds no weights",
    }


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_backbone_may_be_saved_alone_or_under_its_prefix(prefix: str, tmp_path: Path) -> None:
    source = FIXTURES / "bort_4_8_24_32-encoder.params"
    out = converted(source, tmp_path / "out")
    with open_tensors(out / "model.safetensors") as file:
        bare = {name: file[name] for name in file}
    assert not any(name.startswith("bert.") for name in bare)
    changed(out, **(dict.fromkeys(bare) | {prefix + name: array for name, array in bare.items()}))
    export(out, tmp_path / "back.params")
    assert_same(arrays_of(tmp_path / "back.params"), arrays_of(source))


def test_a_trained_token_type_row_is_refused(unlisted: Path) -> None:
    changed(unlisted, **{TYPES: np.full((1, 32), 0.5, np.float32)})
    assert disagreements(unlisted) == (
        f"{TYPES}: the tensor should be 0.0 throughout, and 32 of 32 values are not (Bort has no segment embedding)",
    )


def test_an_untied_output_matrix_is_refused(unlisted: Path) -> None:
    matrix = tensor(unlisted, WORDS)
    matrix[7, 3:5] += 1
    changed(unlisted, **{OUTPUT: matrix})
    (problem,) = disagreements(unlisted)
    assert problem.startswith(f"{OUTPUT}: differs from {WORDS} in 2 of 3,840 values, first at (7, 3); expected no diff")
    changed(unlisted, **{OUTPUT: matrix[:, :5]})
    assert disagreements(unlisted) == (f"{OUTPUT}: found float32 (120, 5), expected float32 (120, 32), as {WORDS}",)


@pytest.mark.parametrize("numbers", [np.arange(1, 25), np.arange(23), np.arange(24.0) / 2])
def test_other_numbers_than_positions_are_refused(numbers: Array, unlisted: Path) -> None:
    changed(unlisted, **{POSITIONS: numbers[None]})
    (problem,) = disagreements(unlisted)
    assert problem.startswith(f"{POSITIONS}: holds other numbers, expected the numbers 0 to 23, one for each row of ")


def test_all_tensors_that_cannot_come_back_are_named_at_once(unlisted: Path) -> None:
    bias = "cls.predictions.decoder.bias"
    changed(
        unlisted, **{TYPES: np.ones((1, 32), np.float32), bias: np.ones(120, np.float32), POSITIONS: np.ones((1, 24))}
    )
    assert [problem.split(":")[0] for problem in disagreements(unlisted)] == [TYPES, bias, POSITIONS]


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"bert.pooler.dense.bias": np.zeros(32, np.float32)}, "bert.pooler.dense.bias: found float32 (32,), no row"),
        ({"cls.predictions.bias": None}, "cls.predictions.bias: found nothing, expected shape (120,) (the file has"),
        (
            {"bert.embeddings.LayerNorm.bias": np.zeros(9, np.float32)},
            "bert.embeddings.LayerNorm.bias: found shape (9,)",
        ),
        ({NORM: np.zeros(32, np.int64)}, f"{NORM}: found int64 (32,), expected a floating-point dtype"),
        ({TYPES: np.zeros((1, 32), np.float16)}, f"{TYPES}: found float16 (1, 32), expected float32 (1, 32)"),
        ({TYPES: np.zeros((2, 32), np.float32)}, f"{TYPES}: found shape (2, 32); 2 where 1 is expected"),
        (
            {"bert.embeddings.LayerNorm.gamma": np.zeros(32, np.float32)},
            "bert.embeddings.LayerNorm.weight: is the same tensor as bert.embeddings.LayerNorm.gamma; expected one",
        ),
    ],
)
def test_tensors_that_no_conversion_writes_are_refused(
    tensors: dict[str, Array | None], problem: str, unlisted: Path
) -> None:
    (disagreement,) = disagreements(changed(unlisted, **tensors))
    assert disagreement.startswith(problem)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"hidden_size": 64}, "hidden_size is 64, expected 32 by the tensors"),
        ({"num_hidden_layers": None}, "num_hidden_layers is not there, expected 4 by the tensors"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, expected a number that divides hidden_size=32"),
        ({"num_attention_heads": None}, "num_attention_heads is 12, expected a number that divides hidden_size=32"),
        ({"num_attention_heads": "8"}, "num_attention_heads is '8', expected a number that divides hidden_size=32"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu' by GluonNLP's Bort"),
        (
            {"layer_norm_eps": 1e-12},
            "layer_norm_eps is 1e-12, expected 1e-05 by GluonNLP's Bort",
        ),
        ({"model_type": "roberta"}, "model_type is 'roberta', expected 'bert' by GluonNLP's Bort"),
        ({"is_decoder": True}, "is_decoder is True, expected False: GluonNLP has no such model"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key', expected 'absolute'"),
        (
            {"tie_word_embeddings": False},
            "tie_word_embeddings is False, expected true",
        ),
    ],
)
def test_a_config_that_contradicts_the_model_is_refused(
    values: dict[str, object], problem: str, unlisted: Path
) -> None:
    (disagreement,) = disagreements(configured(unlisted, **values))
    assert disagreement.startswith(f"config.json: {problem}")


def test_a_config_key_that_does_not_change_outputs_is_only_noted(unlisted: Path, tmp_path: Path) -> None:
    configured(unlisted, hidden_dropout_prob=0.2, tie_word_embeddings=None, bos_token_id=None)
    (note,) = export(unlisted, tmp_path / "back.params").notes
    assert note == "a checkpoint has no place for these of config.json: hidden_dropout_prob 0.2"


def test_the_tie_in_the_config_does_not_matter_without_an_output_matrix(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32-encoder.params", tmp_path / "out")
    assert export(configured(out, tie_word_embeddings=False), tmp_path / "back.params").tensors


def test_an_unknown_family_or_name_style_is_refused(unlisted: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"`family='llama'`: expected one of .*bort"):
        export(unlisted, tmp_path / "back.params", family="llama")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="`names='short'`: expected 'structural' or 'prefix'"):
        export(unlisted, tmp_path / "back.params", names="short")  # type: ignore[arg-type]
    assert export(unlisted, tmp_path / "back.params", family="bort").family == "bort"


def edited(folder: Path, **values: object) -> None:
    document = json.loads((folder / "conversion.json").read_text("utf-8")) | values
    (folder / "conversion.json").write_text(json.dumps(document), "utf-8")


def test_a_manifest_that_contradicts_the_argument_or_names_no_table_is_refused(out: Path, tmp_path: Path) -> None:
    edited(out, family="llama")
    with pytest.raises(OptionError, match=r"`family='bort'`: conversion\.json names llama\. Leave it out"):
        export(out, tmp_path / "back.params", family="bort")
    with pytest.raises(FormatError, match="names the family 'llama' and its table 'language model', which this"):
        export(out, tmp_path / "back.params")
    edited(out, family="bort", table="speech model")
    with pytest.raises(FormatError, match="its table 'speech model', which this version does not know"):
        export(out, tmp_path / "back.params")
    (out / "conversion.json").write_text("{}", "utf-8")
    with pytest.raises(FormatError, match="is not what a conversion writes"):
        export(out, tmp_path / "back.params")


def test_a_target_in_the_way_or_inside_the_directory_is_refused(out: Path, tmp_path: Path) -> None:
    for inside in (out, out / "model.safetensors", out / "back.params"):
        with pytest.raises(OutputError, match=r"is inside .*out, which is exported; expected a place beside it"):
            export(out, inside, force=True)
    (tmp_path / "back.params").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"is there already; expected nothing\. Pass `force=True` to replace it"):
        export(out, tmp_path / "back.params")
    assert (tmp_path / "back.params").read_bytes() == b"old"
    export(out, tmp_path / "back.params", force=True)
    assert_same(arrays_of(tmp_path / "back.params"), arrays_of(FIXTURES / "bort_4_8_24_32.params"))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def repeated(folder: Path) -> None:
    (folder / "copy.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    weight_map = {"a": "one.safetensors", "b": "copy.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")


def no_map(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}', "utf-8")


def odd_name(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "\x1b[2J"}}), "utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            pickled,
            "pytorch_model.bin: is a pickle, which could run anything and is never read; expected model.safetens",
        ),
        (repeated, "is in two of the directory's files; expected it in one"),
        (no_map, "has no weight_map; expected one that names the file of each tensor"),
        (odd_name, r"index.json: names '\\x1b\[2J', expected files beside it"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: cannot be read: No such file"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: cannot be read: No such file"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json: holds no JSON object"),
    ],
)
def test_a_directory_that_cannot_be_read_is_refused(
    damage: Callable[[Path], None], message: str, out: Path, tmp_path: Path
) -> None:
    damage(out)
    with pytest.raises(FormatError, match=message):
        export(out, tmp_path / "back.params")
    with pytest.raises(FormatError, match="is no directory; expected one that transformers loads"):
        export(out / "config.json", tmp_path / "back.params")


def test_a_directory_that_is_written_to_meanwhile_is_refused(out: Path, tmp_path: Path) -> None:
    def write(_done: int, _total: int) -> None:
        with (out / "model.safetensors").open("ab") as file:
            file.write(b"more")

    with pytest.raises(FormatError, match=r"model.safetensors: changed while it was read"):
        export(out, tmp_path / "back.params", progress=write)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_prints_a_summary_or_the_reason_for_a_refusal(out: Path, tmp_path: Path) -> None:
    back = str(tmp_path / "back.params")
    result = CliRunner().invoke(cli.main, ["export", str(out), back])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{back}: bort (language model) from out",
        "  74 arrays, structural names",
        "  sizes: vocab_size 120, hidden_size 32, max_positions 24, intermediate_size 24, layers 4",
        (
            "  hyperparameters: hidden_act gelu, layer_norm_eps 1e-05, head_layer_norm_eps 1e-12, pad_token_id 1, "
            "bos_token_id 0, eos_token_id 2, attention_heads 8"
        ),
        "  decoder.3.weight equals word_embed.0.weight: tied",
        f"  {TYPES}: left out, Bort has no segment embedding",
        "  the arrays of bort_4_8_24_32.params, bit for bit",
    ]
    assert CliRunner().invoke(cli.main, ["export", str(out), back]).exit_code == 4
    options = ["--force", "--names", "prefix", "--family", "bort"]
    result = CliRunner().invoke(cli.main, ["export", str(out), back, "--json", *options])
    assert len(json.loads(result.stdout)["tensors"]) == 73
    assert CliRunner().invoke(cli.main, ["export", str(out), back, "--quiet", "--force"]).output == ""
    changed(out, **{TYPES: np.ones((1, 32), np.float32)})
    result = CliRunner().invoke(cli.main, ["export", str(out), back, "--force"])
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: a GluonNLP checkpoint cannot hold these tensors:\n  ")
