"""Conversions of whole files; test_converted_models.py loads their results in torch."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bort_convert
from bort_convert.cli.text import conversion_text
from bort_convert.commands.check import check
from bort_convert.commands.convert import convert
from bort_convert.commands.tokenizer import add_tokenizer
from bort_convert.errors import FormatError, MappingError, OptionError, OutputError, VariantError
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.read import read_manifest
from bort_convert.models import bert
from bort_convert.models.registry import fit_source
from bort_convert.params import open_params, save_params
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array


@pytest.fixture
def full(fixtures: Path) -> Path:
    return fixtures / "bort_4_8_24_32.params"


def tensors_of(source: Path) -> dict[str, Array]:
    with open_params(source) as params:
        return {name: array.copy() for name, array in params.items()}


def rewritten(source: Path, target: Path, **changes: Array | None) -> Path:
    """Copy a checkpoint with tensors changed, added, or (None) left out; `__` in a keyword stands for a dot."""
    tensors = tensors_of(source) | {name.replace("__", "."): array for name, array in changes.items()}
    save_params(target, {name: array for name, array in tensors.items() if array is not None})
    return target


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_tensor_has_the_bits_of_its_source_and_no_tensor_is_lost(full: Path, tmp_path: Path) -> None:
    manifest = convert(full, tmp_path / "out", family="bort", heads=8)
    assert sorted(files(tmp_path / "out")) == ["README.md", "config.json", "conversion.json", "model.safetensors"]
    source = tensors_of(full)
    used = set(manifest.tied)
    with open_tensors(tmp_path / "out" / "model.safetensors") as target:
        assert target.metadata == {"format": "pt"}
        assert set(target) == set(manifest.tensors)
        for name, tensor in manifest.tensors.items():
            assert hashlib.sha256(target[name].tobytes()).hexdigest() == tensor.sha256
            used |= set(tensor.sources)
            if tensor.sources:
                (origin,) = tensor.sources
                assert target[name].tobytes() == source[origin].tobytes()
                assert (target[name].dtype, target[name].shape) == (source[origin].dtype, source[origin].shape)
    assert used == set(source)
    assert manifest.tied == {"decoder.3.weight": "word_embed.0.weight"}
    assert manifest.parameters == sum(array.size for name, array in source.items() if name not in manifest.tied)


def test_initialised_rows_do_not_count_as_parameters(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "roberta_2_2_8_8.params"
    manifest = convert(source, tmp_path / "out", family="roberta", heads=2)
    counted = sum(array.size for name, array in tensors_of(source).items() if name not in manifest.tied)
    assert manifest.parameters == counted
    assert Manifest.from_json((tmp_path / "out" / "conversion.json").read_text("utf-8")) == manifest


def test_the_manifest_is_saved_as_json(full: Path, tmp_path: Path) -> None:
    manifest = convert(full, tmp_path / "out", family="bort", heads=8)
    document = json.loads((tmp_path / "out" / "conversion.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(manifest.to_dict()))
    assert document["source"] == {
        "name": full.name,
        "size": full.stat().st_size,
        "sha256": hashlib.sha256(full.read_bytes()).hexdigest(),
    }
    assert document["options"] == {"family": "bort", "heads": 8}
    assert document["hyperparameters"] == {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-05,
        "head_layer_norm_eps": 1e-12,
        "attention_heads": 8,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    assert document["tensors"]["bert.embeddings.token_type_embeddings.weight"]["why"] == "Bort has no segment embedding"
    assert document["tensors"]["cls.predictions.bias"]["sources"] == ["decoder.3.bias"]


def test_the_same_input_gives_the_same_bytes(full: Path, tmp_path: Path) -> None:
    convert(full, tmp_path / "one", family="bort", heads=8)
    convert(full, tmp_path / "two", family="bort", heads=8)
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("scheme", ["-prefix", "-argaux", "-dedup"])
def test_every_naming_scheme_gives_the_same_weights(full: Path, tmp_path: Path, scheme: str) -> None:
    convert(full, tmp_path / "one", family="bort", heads=8)
    convert(full.with_name(f"{full.stem}{scheme}.params"), tmp_path / "two", family="bort", heads=8)
    assert files(tmp_path / "one")["model.safetensors"] == files(tmp_path / "two")["model.safetensors"]
    assert files(tmp_path / "one")["config.json"] == files(tmp_path / "two")["config.json"]


def test_half_precision_stays_half_precision(full: Path, tmp_path: Path) -> None:
    convert(full.with_name(f"{full.stem}-fp16.params"), tmp_path / "out", family="bort", heads=8)
    with open_tensors(tmp_path / "out" / "model.safetensors") as target:
        assert {array.dtype.name for array in target.values()} == {"float16"}


def test_tied_tensors_that_differ_are_refused_with_number_and_place_of_the_differences(
    full: Path, tmp_path: Path
) -> None:
    matrix = tensors_of(full)["word_embed.0.weight"].copy()
    matrix[3, 5] = np.nextafter(matrix[3, 5], 9, dtype=np.float32)
    source = rewritten(full, tmp_path / "x.params", decoder__3__weight=matrix)
    with pytest.raises(MappingError) as caught:
        convert(source, tmp_path / "out", family="bort", heads=8)
    assert f"decoder.3.weight: differs from word_embed.0.weight in 1 of {matrix.size:,} values, first at (3, 5)" in str(
        caught.value
    )
    assert not (tmp_path / "out").exists()


def test_tied_tensors_may_hold_any_bits_if_they_are_equal(full: Path, tmp_path: Path) -> None:
    matrix = tensors_of(full)["word_embed.0.weight"].copy()
    matrix[0, :2] = np.nan, -0.0
    source = rewritten(full, tmp_path / "x.params", decoder__3__weight=matrix, word_embed__0__weight=matrix)
    assert convert(source, tmp_path / "out", family="bort", heads=8).tied


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder__0__bias": None}, "decoder.0.bias: found nothing, expected shape (32,)"),
        (
            {"extra": np.zeros(3, np.float32)},
            "a Bort stands at the top of the file; 1 other tensor: extra (3). Pass `ignore=['extra']` to leave it out",
        ),
        (
            {"encoder__layer_norm__beta": np.zeros(9, np.float32)},
            "axis 'hidden_size' is 9, expected 32 (hidden_size=32 from word_embed",
        ),
        ({"decoder__2__gamma": None, "decoder__2__beta": None}, "with 2 disagreements"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_written(
    full: Path, tmp_path: Path, changes: dict[str, Array | None], message: str
) -> None:
    source = rewritten(full, tmp_path / "x.params", **changes)
    with pytest.raises(MappingError) as caught:
        convert(source, tmp_path / "out", family="bort", heads=8)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.params"]


@pytest.mark.parametrize(("name", "family"), [("bert_tiny.params", "gpt2"), ("cnn_tiny.params", None)])
def test_other_models_are_refused_with_every_disagreement(
    fixtures: Path, tmp_path: Path, name: str, family: str | None
) -> None:
    with pytest.raises(MappingError, match=r"no family fits this file; the closest is (gpt2|xlnet)") as caught:
        convert(fixtures / name, tmp_path / "out", heads=2, family=family)
    assert len(caught.value.disagreements) >= 4
    assert list(tmp_path.iterdir()) == []


def test_heads_that_no_target_class_has_together_are_a_disagreement(fixtures: Path, tmp_path: Path) -> None:
    parts = {"pooler__weight": None, "pooler__bias": None}
    source = rewritten(fixtures / "bert_tiny.params", tmp_path / "x.params", **parts)
    with pytest.raises(MappingError, match=r"has a place for masked-language-model head, next-sentence head together"):
        convert(source, tmp_path / "out", heads=2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.params"]


@pytest.mark.parametrize("option", ["vocab", "bpe_ranks", "tokenizer", "roberta_pairs", "lower_case"])
def test_a_family_without_a_tokenizer_here_gets_none_of_another_kind(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(bert, "FAMILY", replace(bert.FAMILY, tokenizer=""))
    tiny, vocab = fixtures / "bert_tiny.params", fixtures / "tiny.vocab"
    with pytest.raises(OptionError, match=r"no tokenizer of BERT's kind can be made yet\. Leave it out") as error:
        convert(tiny, tmp_path / "out", family="bert", heads=2, **{option: vocab})  # type: ignore[arg-type]
    assert (error.value.option, error.value.value) == (option, vocab)
    assert not (tmp_path / "out").exists()
    manifest = convert(tiny, tmp_path / "out", family="bert", heads=2)
    assert not manifest.tokenizer
    assert "tokenizer.json" not in manifest.files
    with pytest.raises(OptionError, match="no tokenizer of BERT's kind"):
        bort_convert.add_tokenizer(tmp_path / "out", vocab=vocab)
    with pytest.raises(VariantError, match="no tokenizer of BERT's kind"):
        bort_convert.add_tokenizer(tmp_path / "out")
    lines = conversion_text(manifest, tmp_path / "out")
    assert "  no tokenizer: bort_convert makes none for BERT yet" in lines
    assert lines[-1].endswith(f'transformers.AutoModelForPreTraining.from_pretrained("{tmp_path / "out"}")')
    assert "The directory has no tokenizer.\n" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_a_bert_gets_no_tokenizer_of_another_kind(fixtures: Path, tmp_path: Path) -> None:
    tiny, out = fixtures / "bert_tiny.params", tmp_path / "out"
    with pytest.raises(
        FormatError, match=r"tiny\.vocab cannot be used:\n  cls_token is None, expected one of the tokens"
    ):
        convert(tiny, out, family="bert", heads=2, vocab=fixtures / "tiny.vocab")
    with pytest.raises(OptionError, match=r"`bpe_ranks=.*: this model has a WordPiece tokenizer, which takes no such"):
        convert(
            tiny,
            out,
            family="bert",
            heads=2,
            vocab=fixtures / "tiny_bert_cased.vocab",
            bpe_ranks=fixtures / "tiny_ranks.txt",
        )
    with pytest.raises(FormatError, match="40 tokens, expected 20, the rows of the word embedding"):
        convert(tiny, out, family="bert", heads=2, vocab=fixtures / "tiny_bert.vocab")
    assert not out.exists()
    manifest = convert(tiny, out, family="bert", heads=2)
    assert (manifest.tokenizer, manifest.notes) == ({}, ())
    lines = conversion_text(manifest, out)
    assert f"  no tokenizer: add one with bort-convert tokenizer {out} --vocab FILE" in lines
    assert 'Add one with `bort_convert.add_tokenizer(".", vocab=...)`' in (out / "README.md").read_text("utf-8")


def test_an_unknown_family_is_refused(full: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"`family='llama'`: expected one of .*bort, "):
        convert(full, tmp_path / "out", family="llama")  # type: ignore[arg-type]


def test_a_full_target_is_refused_before_anything_is_read(full: Path, tmp_path: Path) -> None:
    convert(full, tmp_path / "out", family="bort", heads=8)
    before = files(tmp_path / "out")
    with pytest.raises(OutputError, match=r"`force=True`"):
        convert(full, tmp_path / "out", family="bort", heads=8)
    assert files(tmp_path / "out") == before
    convert(full.with_name(f"{full.stem}-encoder.params"), tmp_path / "out", family="bort", heads=8, force=True)
    assert files(tmp_path / "out") != before


def test_progress_counts_every_byte_once(full: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    manifest = convert(
        full, tmp_path / "out", family="bort", heads=8, progress=lambda done, total: seen.append((done, total))
    )
    (total,) = {total for _, total in seen}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)
    assert len(seen) == len(manifest.tensors)


def test_another_file_than_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.params").write_text("<html>404</html>")
    with pytest.raises(FormatError, match=r"x\.params"):
        convert(tmp_path / "x.params", tmp_path / "out")


def test_every_public_name_is_documented() -> None:
    for name in bort_convert.__all__:
        assert getattr(bort_convert, name).__doc__, name


def test_fitting_reads_no_values(full: Path) -> None:
    with open_params(full) as params:
        assert fit_source(params.specs, family="bort", heads=8).plan.dims["layers"] == 4


@pytest.mark.shared
def test_every_bort_of_the_corpus_converts(shared: Path, tmp_path: Path) -> None:
    sources = sorted((shared / "corpus" / "bort").glob("*.params"))
    assert len(sources) == 18
    for source in sources:
        heads = int(source.name.split("_")[2])
        manifest = convert(source, tmp_path / source.stem, family="bort", heads=heads)
        kind = {"encoder": "BertModel", "classifier3": "BertForSequenceClassification"}.get(
            source.stem.partition("-")[2]
        )
        expected = "BertForSequenceClassification" if "regression" in source.stem else kind or "BertForMaskedLM"
        assert manifest.architecture == expected


@pytest.mark.shared
def test_every_real_checkpoint_of_another_family_is_refused(shared: Path, tmp_path: Path) -> None:
    sources = [path for path in (shared / "corpus" / "real").iterdir() if path.suffix in {".params", ".v0"}]
    assert len(sources) == 11
    for source in sources:
        with pytest.raises(MappingError, match="no family fits this file"):
            convert(source, tmp_path / "out", family="bort", heads=2)
    assert list(tmp_path.iterdir()) == []


def test_without_checksums_the_weights_are_the_same_and_unhashed(full: Path, tmp_path: Path) -> None:
    convert(full, tmp_path / "one", family="bort", heads=8)
    manifest = convert(full, tmp_path / "two", family="bort", heads=8, checksums=False)
    assert files(tmp_path / "one")["model.safetensors"] == files(tmp_path / "two")["model.safetensors"]
    assert {tensor.sha256 for tensor in manifest.tensors.values()} == {""}
    assert "sha256" not in json.dumps(manifest.to_dict()["tensors"])


def test_without_checksums_tied_tensors_are_still_compared(full: Path, tmp_path: Path) -> None:
    matrix = tensors_of(full)["word_embed.0.weight"] + 1
    source = rewritten(full, tmp_path / "x.params", decoder__3__weight=matrix)
    with pytest.raises(MappingError, match="tensors that are written once are not equal"):
        convert(source, tmp_path / "out", family="bort", heads=8, checksums=False)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_model_zoo_archive_with_one_params_file_converts(full: Path, tmp_path: Path, compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "zoo.zip", "w", compression) as archive:
        archive.write(full, full.name)
    plain = convert(full, tmp_path / "one", family="bort", heads=8)
    packed = convert(tmp_path / "zoo.zip", tmp_path / "two", family="bort", heads=8)
    assert files(tmp_path / "one")["model.safetensors"] == files(tmp_path / "two")["model.safetensors"]
    assert packed.tensors == plain.tensors
    assert packed.source.sha256 == hashlib.sha256((tmp_path / "zoo.zip").read_bytes()).hexdigest()


def test_an_archive_of_arrays_as_mxnet_2_writes_them_converts(full: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", **tensors_of(full))
    plain = convert(full, tmp_path / "one", family="bort", heads=8)
    assert convert(tmp_path / "two.npz", tmp_path / "two", family="bort", heads=8).tensors == plain.tensors


def test_a_checkpoint_in_the_target_is_not_deleted_even_with_force(full: Path, tmp_path: Path) -> None:
    source = tmp_path / "bort.params"
    source.write_bytes(full.read_bytes())
    with pytest.raises(OutputError, match="holds the source"):
        convert(source, tmp_path, family="bort", heads=8, force=True)
    assert source.read_bytes() == full.read_bytes()


def test_a_dtype_without_a_fraction_is_refused(full: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`dtype='int8'`: expected one of float16, bfloat16, float32, float64"):
        convert(full, tmp_path / "out", family="bort", heads=8, dtype="int8")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"n\xe9g.params", b"\xff\xfe.params", "n\u00e9g\U0001f642.params".encode()])
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no file names that are not UTF-8")
def test_the_name_of_a_file_may_be_any_bytes(fixtures: Path, tmp_path: Path, name: bytes) -> None:
    source, vocab = tmp_path / os.fsdecode(name), tmp_path / os.fsdecode(name.replace(b".params", b".vocab"))
    shutil.copy(fixtures / "bert_2_2_8_8.params", source)
    shutil.copy(fixtures / "tiny_bert.vocab", vocab)
    convert(source, tmp_path / "out", family="bert", heads=2)
    manifest = add_tokenizer(tmp_path / "out", vocab=vocab)
    text = (tmp_path / "out" / "conversion.json").read_bytes().decode("utf-8")
    assert os.fsencode(json.loads(text)["source"]["name"]) == name
    assert [os.fsencode(key) for key in json.loads(text)["tokenizer"]] == [os.fsencode(vocab.name)]
    assert read_manifest(tmp_path / "out") == manifest
    assert check(tmp_path / "out", source=source)
    assert source.name.isprintable() or ascii(source.name)[1:-1] in (tmp_path / "out" / "README.md").read_text("utf-8")
