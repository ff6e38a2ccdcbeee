"""The way back without a framework: what was converted comes back bit for bit, and what cannot come back is refused.

A directory without its conversion.json is one that we never saw.
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
from bort_convert.errors import FormatError, MappingError, OutputError, VariantError
from bort_convert.models.registry import fit_source
from bort_convert.safetensors import open_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.dtypes import Array

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEADS = {"bort_4_8_24_32": 8, "bort_2_3_24_24": 3, "gpt2_2_3_48_12": 3} | dict.fromkeys(
    ("bert_2_2_8_8", "distilbert_2_2_8_8", "ernie_2_2_8_8", "roberta_2_2_8_8", "xlnet_2_2_8_8"), 2
)
SOURCES = sorted(path for stem in HEADS for path in FIXTURES.glob(f"{stem}*.params"))
TYPES = "bert.embeddings.token_type_embeddings.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_ids"
NORM = "bert.embeddings.LayerNorm.bias"
OUTPUT = "cls.predictions.decoder.weight"
TWINS = {
    "decoder.3.weight": "word_embed.0.weight",
    "_logits_proj.weight": "_embed.weight",
    "_net.decoder.weight": "_net.word_embed.weight",
}
COUNTER = re.compile("(?<=encoder)[0-9]+|(?<=model)[0-9]+|(?<=classifier)[0-9]+|(?<=xlnet)[0-9]+")
Tensors = dict[str, "Array"]


def arrays_of(path: Path) -> Tensors:
    with open_params(path) as params:
        return {name: np.array(array) for name, array in params.items()}


def converted(source: Path, target: Path, **options: Any) -> Path:  # noqa: ANN401 - as convert takes them
    convert(source, target, family=source.name.split("_")[0], heads=heads_of(source), **options)
    return target


def structural(source: Path) -> Tensors:
    """The arrays of a checkpoint by structural name, of whichever spelling and table."""
    with open_params(source) as params:
        names = fit_source(params.specs, family=source.name.split("_")[0], heads=heads_of(source)).names
        return {name: np.array(params[found]) for name, found in names.items()}


def heads_of(source: Path) -> int:
    return next(heads for stem, heads in HEADS.items() if source.name.startswith(stem))


def assert_same(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out")


@pytest.fixture
def unseen(out: Path) -> Path:
    (out / "conversion.json").unlink()
    return out


def changed(folder: Path, **tensors: Array | None) -> Path:
    """The same directory with other tensors; None takes one away."""
    with open_tensors(folder / "model.safetensors") as file:
        kept = {name: file[name] for name in file} | tensors
    (folder / "model.safetensors").unlink()
    save_tensors(folder / "model.safetensors", {name: array for name, array in kept.items() if array is not None}, {})
    return folder


def configured(folder: Path, **values: object) -> Path:
    """The same directory with another config; None takes a key away."""
    config = json.loads((folder / "config.json").read_text("utf-8")) | values
    text = json.dumps({key: value for key, value in config.items() if value is not None})
    (folder / "config.json").write_text(text, "utf-8")
    return folder


def tensor(folder: Path, name: str) -> Array:
    with open_tensors(folder / "model.safetensors") as file:
        return file[name]


def disagreements(folder: Path) -> tuple[str, ...]:
    """Why a directory is refused; nothing is left behind."""
    with pytest.raises(MappingError) as caught:
        export(folder, folder.parent / "back.params", family="bort")
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    return caught.value.disagreements


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_was_converted_comes_back_bit_for_bit_under_structural_names(source: Path, tmp_path: Path) -> None:
    manifest = export(converted(source, tmp_path / "out"), tmp_path / "back.params")
    found, expected = arrays_of(tmp_path / "back.params"), arrays_of(source)
    if any("." in name for name in expected):
        assert_same(found, expected)
    else:
        aliases = {name: original for name, original in TWINS.items() if name in found}
        assert_same({name: array for name, array in found.items() if name not in aliases}, structural(source))
        assert all(found[name].tobytes() == found[original].tobytes() for name, original in aliases.items())
    assert manifest.notes[0] == f"the arrays of {source.name}, bit for bit"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_was_converted_comes_back_bit_for_bit_under_prefixed_names(source: Path, tmp_path: Path) -> None:
    export(converted(source, tmp_path / "out"), tmp_path / "back.params", names="prefix")
    found, expected = arrays_of(tmp_path / "back.params"), arrays_of(source)
    assert not any("." in name for name in found)
    if "prefix" in source.stem:
        expected = {COUNTER.sub("0", name): array for name, array in expected.items()}
        assert_same(found, expected)
    again = converted(_named(tmp_path / "back.params", source), tmp_path / "again")
    for name in ("model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def _named(path: Path, source: Path) -> Path:
    return path.rename(path.with_name(f"{source.stem}-back.params"))


@pytest.mark.parametrize("names", ["structural", "prefix"])
@pytest.mark.parametrize("kind", ["", "-encoder", "-classifier3", "-fp16"])
def test_shards_and_a_lost_manifest_give_the_same_file(kind: str, names: str, tmp_path: Path) -> None:
    source = FIXTURES / f"bort_4_8_24_32{kind}.params"
    shards = converted(source, tmp_path / "shards", max_shard_size="30KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    lost = converted(source, tmp_path / "lost")
    (lost / "conversion.json").unlink()
    for folder in (shards, lost):
        export(folder, tmp_path / f"{folder.name}.params", family="bort", names=names)
    assert (tmp_path / "shards.params").read_bytes() == (tmp_path / "lost.params").read_bytes()


def test_a_directory_without_a_manifest_says_by_its_config_whether_it_is_a_bert_or_an_ernie(tmp_path: Path) -> None:
    for family in ("bert", "ernie"):
        source = FIXTURES / f"{family}_2_2_8_8.params"
        out = converted(source, tmp_path / family)
        (out / "conversion.json").unlink()
        assert export(out, tmp_path / f"{family}.params").family == family
        assert_same(arrays_of(tmp_path / f"{family}.params"), arrays_of(source))


def test_a_bare_encoder_without_a_manifest_is_asked_for_unless_its_size_was_published(tmp_path: Path) -> None:
    out = converted(FIXTURES / "distilbert_2_2_8_8.params", tmp_path / "out")
    (out / "conversion.json").unlink()
    with pytest.raises(VariantError, match=r"fits more than one family: bort, distilbert\. Pass --family with one"):
        export(out, tmp_path / "back.params")
    assert export(out, tmp_path / "back.params", family="distilbert").family == "distilbert"


def test_what_no_manifest_tells_is_taken_as_the_first_form_and_said(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32-regression.params", tmp_path / "out")
    assert "classifier.0.weight" in export(out, tmp_path / "known.params").tensors
    (out / "conversion.json").unlink()
    manifest = export(out, tmp_path / "back.params")
    assert {"classifier.1.weight", "classifier.3.weight"} <= manifest.tensors.keys()
    assert manifest.notes == (
        "written as 'classifier'; what a directory holds does not tell it from 'classifier without dropout'",
    )


def test_the_manifest_says_what_was_written_and_from_what(out: Path, tmp_path: Path) -> None:
    manifest = export(out, tmp_path / "back.params")
    known = json.loads((out / "conversion.json").read_text("utf-8"))["tensors"]
    query = manifest.tensors["encoder.transformer_cells.2.attention_cell.proj_query.weight"]
    assert query.sources == ("bert.encoder.layer.2.attention.self.query.weight",)
    assert (query.op, query.dtype, query.shape) == ("copy", "float32", (32, 32))
    for each in manifest.tensors.values():
        assert each.sha256 == known[each.sources[0]]["sha256"]
    assert manifest.tied == {"decoder.3.weight": "word_embed.0.weight"}
    assert manifest.left_out == {TYPES: "Bort has no segment embedding"}
    assert (manifest.source.name, manifest.source.size) == ("out", 4 * (29_688 + 32))
    assert manifest.options == {"names": "structural"}


def test_progress_counts_every_byte_once(out: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export(out, tmp_path / "back.params", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) == 74
    assert seen[-1] == (4 * (29_688 + 120 * 32),) * 2


def test_a_fine_tuned_model_is_exported_and_said_to_be_another(out: Path, tmp_path: Path) -> None:
    query = "bert.encoder.layer.2.attention.self.query.weight"
    changed(out, **{query: tensor(out, query) + 1})
    manifest = export(out, tmp_path / "back.params")
    assert manifest.notes == ("1 of 73 tensors are no longer those of bort_4_8_24_32.params",)
    expected = arrays_of(FIXTURES / "bort_4_8_24_32.params")
    expected["encoder.transformer_cells.2.attention_cell.proj_query.weight"] += 1
    assert_same(arrays_of(tmp_path / "back.params"), expected)


def test_without_digests_nothing_is_claimed(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out", checksums=False)
    assert "cannot be told" in export(out, tmp_path / "back.params").notes[0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_is_kept_and_said(dtype: str, tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32.params", tmp_path / "out", dtype=dtype)
    cast, loading = export(out, tmp_path / "back.params").notes
    assert cast == f"the conversion cast every tensor to {dtype}: these are not the bits of bort_4_8_24_32.params"
    assert ("cast_dtype=True" if dtype == "float16" else "release 1.7") in loading
    wanted = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    source = arrays_of(FIXTURES / "bort_4_8_24_32.params")
    assert_same(arrays_of(tmp_path / "back.params"), {name: array.astype(wanted) for name, array in source.items()})


def test_second_names_and_counters_of_older_releases_are_left_out(unseen: Path, tmp_path: Path) -> None:
    gamma = "bert.encoder.layer.0.output.LayerNorm"
    changed(
        unseen,
        **{
            OUTPUT: tensor(unseen, WORDS),
            "cls.predictions.decoder.bias": tensor(unseen, "cls.predictions.bias"),
            POSITIONS: np.arange(24).reshape(1, 24),
            f"{gamma}.gamma": tensor(unseen, f"{gamma}.weight"),
            f"{gamma}.beta": tensor(unseen, f"{gamma}.bias"),
            f"{gamma}.weight": None,
            f"{gamma}.bias": None,
        },
    )
    manifest = export(unseen, tmp_path / "back.params")
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


def test_a_token_type_row_that_was_trained_is_refused(unseen: Path) -> None:
    changed(unseen, **{TYPES: np.full((1, 32), 0.5, np.float32)})
    assert disagreements(unseen) == (
        f"{TYPES}: the tensor should be 0.0 throughout, and 32 of 32 values are not (Bort has no segment embedding)",
    )


def test_an_output_matrix_of_its_own_is_refused(unseen: Path) -> None:
    matrix = tensor(unseen, WORDS)
    matrix[7, 3:5] += 1
    changed(unseen, **{OUTPUT: matrix})
    (problem,) = disagreements(unseen)
    assert problem.startswith(f"{OUTPUT}: differs from {WORDS} in 2 of 3,840 values, first at (7, 3); expected no diff")
    changed(unseen, **{OUTPUT: matrix[:, :5]})
    assert disagreements(unseen) == (f"{OUTPUT}: found float32 (120, 5), expected float32 (120, 32), as {WORDS}",)


@pytest.mark.parametrize("numbers", [np.arange(1, 25), np.arange(23), np.arange(24.0) / 2])
def test_positions_that_do_not_count_are_refused(numbers: Array, unseen: Path) -> None:
    changed(unseen, **{POSITIONS: numbers[None]})
    (problem,) = disagreements(unseen)
    assert problem.startswith(f"{POSITIONS}: holds other numbers, expected the numbers 0 to 23, one for each row of ")


def test_all_that_cannot_come_back_is_told_at_once(unseen: Path) -> None:
    bias = "cls.predictions.decoder.bias"
    changed(
        unseen, **{TYPES: np.ones((1, 32), np.float32), bias: np.ones(120, np.float32), POSITIONS: np.ones((1, 24))}
    )
    assert [problem.split(":")[0] for problem in disagreements(unseen)] == [TYPES, bias, POSITIONS]


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
def test_tensors_that_no_conversion_makes_are_refused(
    tensors: dict[str, Array | None], problem: str, unseen: Path
) -> None:
    (found,) = disagreements(changed(unseen, **tensors))
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"hidden_size": 64}, "hidden_size is 64, expected 32 by the tensors"),
        ({"num_hidden_layers": None}, "num_hidden_layers is not there, expected 4 by the tensors"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, expected a number that divides 32"),
        ({"num_attention_heads": None}, "num_attention_heads is not there, expected a number that divides 32"),
        ({"num_attention_heads": "8"}, "num_attention_heads is '8', expected a number that divides 32"),
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
def test_a_config_that_says_otherwise_is_refused(values: dict[str, object], problem: str, unseen: Path) -> None:
    (found,) = disagreements(configured(unseen, **values))
    assert found.startswith(f"config.json: {problem}")


def test_what_does_not_change_a_models_outputs_is_said_and_no_more(unseen: Path, tmp_path: Path) -> None:
    configured(unseen, hidden_dropout_prob=0.2, tie_word_embeddings=None, bos_token_id=None)
    (note,) = export(unseen, tmp_path / "back.params").notes
    assert note == "a checkpoint has no place for these of config.json: hidden_dropout_prob 0.2"


def test_a_config_may_say_anything_of_ties_where_there_is_no_output_matrix(tmp_path: Path) -> None:
    out = converted(FIXTURES / "bort_4_8_24_32-encoder.params", tmp_path / "out")
    assert export(configured(out, tie_word_embeddings=False), tmp_path / "back.params").tensors


def test_a_family_or_a_style_that_is_not_there_is_refused(unseen: Path, tmp_path: Path) -> None:
    with pytest.raises(VariantError, match="no family is called 'bart'; known are "):
        export(unseen, tmp_path / "back.params", family="bart")
    with pytest.raises(VariantError, match="names is 'short', expected 'structural' or 'prefix'"):
        export(unseen, tmp_path / "back.params", names="short")
    assert export(unseen, tmp_path / "back.params", family="bort").family == "bort"


def edited(folder: Path, **values: object) -> None:
    document = json.loads((folder / "conversion.json").read_text("utf-8")) | values
    (folder / "conversion.json").write_text(json.dumps(document), "utf-8")


def test_a_manifest_that_says_otherwise_is_refused(out: Path, tmp_path: Path) -> None:
    edited(out, family="bart")
    with pytest.raises(VariantError, match=r"says that the directory came from bart\. Leave --family out"):
        export(out, tmp_path / "back.params", family="bort")
    with pytest.raises(FormatError, match="names the family 'bart' and its table 'language model', which this version"):
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
    with pytest.raises(OutputError, match=r"is there already; expected nothing\. Pass --force to replace it"):
        export(out, tmp_path / "back.params")
    assert (tmp_path / "back.params").read_bytes() == b"old"
    export(out, tmp_path / "back.params", force=True)
    assert_same(arrays_of(tmp_path / "back.params"), arrays_of(FIXTURES / "bort_4_8_24_32.params"))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def two_places(folder: Path) -> None:
    (folder / "copy.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    places = {"a": "model.safetensors", "b": "copy.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), "utf-8")


def no_map(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}', "utf-8")


def odd_name(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "\x1b[2J"}}), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            pickled,
            "pytorch_model.bin: is a pickle, which could run anything and is never read; expected model.safetens",
        ),
        (two_places, "stands in two of the directory's files; expected it in one"),
        (no_map, "has no weight_map; expected one that names the file of each tensor"),
        (odd_name, r"index.json: names '\\x1b\[2J', expected files beside it"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: cannot be read: No such file"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: cannot be read: No such file"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json: holds no JSON object"),
    ],
)
def test_a_directory_that_cannot_be_read_is_refused(
    spoil: Callable[[Path], None], message: str, out: Path, tmp_path: Path
) -> None:
    spoil(out)
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


def test_the_command_says_what_it_wrote_or_why_it_did_not(out: Path, tmp_path: Path) -> None:
    back = str(tmp_path / "back.params")
    said = CliRunner().invoke(cli.main, ["export", str(out), back])
    assert said.exit_code == 0
    assert said.stdout.splitlines() == [
        f"{back}: bort (language model) from out",
        "  74 arrays, structural names",
        "  sizes: vocab 120, units 32, positions 24, hidden 24, layers 4",
        "  hyperparameters: hidden_act gelu, layer_norm_eps 1e-05, head_layer_norm_eps 1e-12, heads 8",
        "  decoder.3.weight equals word_embed.0.weight: tied",
        f"  {TYPES}: left out, Bort has no segment embedding",
        "  the arrays of bort_4_8_24_32.params, bit for bit",
    ]
    assert CliRunner().invoke(cli.main, ["export", str(out), back]).exit_code == 4
    options = ["--force", "--names", "prefix", "--family", "bort"]
    said = CliRunner().invoke(cli.main, ["export", str(out), back, "--json", *options])
    assert len(json.loads(said.stdout)["tensors"]) == 73
    assert CliRunner().invoke(cli.main, ["export", str(out), back, "--quiet", "--force"]).output == ""
    changed(out, **{TYPES: np.ones((1, 32), np.float32)})
    said = CliRunner().invoke(cli.main, ["export", str(out), back, "--force"])
    assert said.exit_code == 3
    assert said.stderr.startswith("Error: a GluonNLP checkpoint cannot hold these tensors:\n  ")
