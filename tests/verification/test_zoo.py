from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import published
import pytest
import zoo
import zoo_gluonnlp1
from converted_dir import Converted
from published import zip_size
from zoo_gluonnlp1 import PublishedCheckpoint

from bort_convert import families, open_params, zoo_entries
from bort_convert.dtypes import TensorSpec
from bort_convert.mapping.family import GLUONNLP_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

OLDER = [family for family in families().values() if family.versions == GLUONNLP_VERSIONS]  # that MXNet 1.x runs
PUBLISHED = {entry.name: entry for entry in zoo_entries()}
NAME = "bort_4_8_768_1024"
MANIFEST = {"variant": NAME, "architecture": "BertForMaskedLM", "parameters": 76_208_217}


def output(name: str, max_abs: float) -> dict[str, Any]:
    return {"name": name, "max_abs": max_abs, "largest": 8.0}


def result_of(manifest: dict[str, Any] = MANIFEST, **differences: float) -> zoo.Result:
    """Result of a verification that passed, with these differences; `float32_layer` is that of `layer.0`."""
    found = {"float64_head": 1e-14, "float64_layer": 1e-14, "float32_head": 5e-5, "float32_layer": 1e-5} | differences
    runs = [
        {
            "dtype": dtype,
            "layers": [output("layer.0", found[f"{dtype}_layer"]), output("mlm_logits", found[f"{dtype}_head"])],
        }
        for dtype in ("float32", "float64")
    ]
    report = {
        "passed": True,
        "headline": "PASS",
        "runs": runs,
        "lengths": [512, 1],
        "seconds": 9.0,
        "versions": {"x": "1"},
    }
    return zoo.result_of(zoo.known_checkpoints()[NAME], manifest, report, megabytes=510.7, seconds=0.7)


def change_one_value(converted: Converted) -> None:
    converted.tensors["bert.encoder.layer.1.output.dense.weight"][0, 0] += 1e-3


def change_an_electra(folder: Path) -> None:
    converted = Converted(folder)
    converted.tensors["electra.encoder.layer.1.output.dense.weight"][0, 0] += 1e-3
    converted.write()


def change_epsilon(converted: Converted) -> None:
    converted.set_hyperparameter("layer_norm_eps", 1e-12)


def test_a_small_checkpoint_is_verified_and_leaves_no_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zoo, "BUILD", tmp_path)
    kept = zoo.RESULTS.read_bytes()
    assert zoo.main(["bort_small-classifier3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| `bort_small-classifier3` | `BertForSequenceClassification` | logits | 5,555 |")
    assert lines[2].endswith(" PASS |")
    assert lines[3] == "1 checkpoint, 0 failed"
    assert not list(tmp_path.iterdir())
    assert zoo.RESULTS.read_bytes() == kept


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (change_one_value, "FAIL layer 1: max |d| "),
        (change_epsilon, "FAIL names and shapes: config.json: layer_norm_eps is 1e-12, expected 1e-05"),
    ],
)
def test_a_damaged_conversion_fails(
    capsys: pytest.CaptureFixture[str], damage: Callable[[Converted], None], problem: str
) -> None:
    def after_conversion(folder: Path) -> None:
        converted = Converted(folder)
        damage(converted)
        converted.write()

    assert zoo.main(["bort_small"], after_conversion) == 1
    printed = capsys.readouterr().out
    assert problem in printed
    assert printed.endswith("1 checkpoint, 1 failed\n")


def test_a_failed_verification_gives_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.main(["bort_small"], shutil.rmtree) == 1
    assert "out" in capsys.readouterr().out


def test_figures_within_the_bars_pass_and_every_bar_can_be_missed() -> None:
    assert result_of() == replace(result_of(), problems=(), heads=("mlm_logits",), float64=1e-14 / 8, largest=8.0)
    for differences, problem in (
        ({"float64_layer": 9e-12}, "FAIL float64: 1.1e-12 relative, the bar is 1e-12"),
        ({"float64_head": 9e-12}, "FAIL float64: 1.1e-12 relative, the bar is 1e-12"),
        ({"float32_layer": 3.1e-5}, "FAIL float32: layer.0 is 3.1e-05 off, the bar is 3e-05"),
    ):
        assert result_of(**differences).problems == (problem,)
    (problem,) = result_of({**MANIFEST, "variant": None}).problems
    assert problem == f"FAIL the size was taken for None, expected {NAME}"


def test_a_run_that_compared_nothing_fails() -> None:
    report = {"passed": True, "headline": "", "runs": [], "lengths": [], "seconds": 1.0, "versions": {}}
    found = zoo.result_of(zoo.known_checkpoints()[NAME], MANIFEST, report, megabytes=1.0, seconds=1.0)
    assert len(found.problems) == 2


def test_names_select_a_checkpoint_a_pattern_a_family_or_the_small_models(capsys: pytest.CaptureFixture[str]) -> None:
    def selected(*names: str) -> set[str]:
        return {name for name, checkpoint in zoo.known_checkpoints().items() if zoo.is_selected(checkpoint, names)}

    assert selected(NAME) == {NAME}
    assert selected(f"{NAME}*") == {NAME, f"{NAME}-classifier3", f"{NAME}-regression"}
    assert selected(f"{NAME}-regression", "roberta_small") == {f"{NAME}-regression", "roberta_small"}
    assert selected("bort") == {name for name in selected() if name.startswith("bort_")}
    assert {name.partition("-")[0] for name in selected("small")} == {f"{family.name}_small" for family in OLDER}
    assert selected().isdisjoint(selected("small"))
    assert zoo.main(["small", "bort_9"]) == 2
    assert capsys.readouterr().err.startswith("bort_9: not known. Known are small, published, bert_12")


def test_published_files_are_selected_by_name_or_all_together() -> None:
    def selected(*names: str) -> set[str]:
        later = [PublishedCheckpoint(entry) for entry in zoo_entries() if entry.gluonnlp == "1.0"]
        every = (*zoo.known_checkpoints().values(), *later)
        return {each.name for each in every if zoo.is_selected(each, names)}

    assert selected("published") == {entry.name.replace("/", "-") for entry in zoo_entries() if entry.family}
    assert selected("gpt2_124M-*") == {"gpt2_124M-model", "gpt2_124M-model_lm"}
    assert selected().isdisjoint(selected("published"))
    assert selected("bert").isdisjoint(selected("published"))


def test_a_published_file_of_0_x_is_made_with_its_vocabulary_and_its_parts() -> None:
    checkpoint = zoo.known_checkpoints()["bert_12_768_12_clinicalbert_uncased"]
    small = replace(checkpoint, size=zoo.known_checkpoints()["bert_small"].size)
    assert (checkpoint.size.vocab_size, checkpoint.size.layers) == (30522, 12)
    parts = {name.partition(".")[0] for name in small.net()._collect_params_with_prefix()}  # noqa: SLF001 - GluonNLP's
    assert parts == {"classifier", "encoder", "pooler", "token_type_embed", "word_embed"}


def test_the_smallest_published_file_of_1_0_has_its_bytes_and_every_bit_arrives(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zoo, "BUILD", tmp_path)
    kept = zoo.RESULTS.read_bytes()
    assert zoo.main(["gluon_electra_small_owt/gen_model"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("| `gluon_electra_small_owt-gen_model` | `ElectraForMaskedLM` | - | ")
    assert row.endswith("| bits alone | - | - | - | - | PASS |")
    assert zoo.RESULTS.read_bytes() == kept
    entry = replace(PUBLISHED["gluon_electra_small_owt/gen_model"], size=1)
    monkeypatch.setattr(zoo, "zoo_entries", lambda: (entry,))
    assert zoo.main(["gluon_electra_small_owt/gen_model"], change_an_electra) == 1
    printed = capsys.readouterr().out
    assert "bytes were written, the published file has 1\n" in printed
    assert "FAIL " in printed.partition("bytes were written")[0], "a changed value"


def test_a_published_file_that_has_no_room_is_not_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zoo, "BUILD", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(100, 50, int(90.4e9)))  # noqa: SLF001
    assert zoo.main(["--bits", "google_t5_11B-model"]) == 1
    needs = "FAIL not run: it takes 90.5 GB to write and to convert, and 90.4 GB are free"
    assert capsys.readouterr().out.splitlines()[3] == needs


@pytest.mark.parametrize("limit", [published.ZIP64, 300, 200])
def test_an_archive_of_mxnet_2_is_written_with_the_bytes_that_are_computed(
    limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(published, "ZIP64", limit)
    specs = [TensorSpec("a.weight", "float32", (3, 5)), TensorSpec("encoder.b", "float32", (7,))]
    with (tmp_path / "x.params").open("xb") as file:
        zoo_gluonnlp1._write_zip(file, specs, lambda name: iter([np.ones(15 if name == "a.weight" else 7, "float32")]))  # noqa: SLF001
    assert (tmp_path / "x.params").stat().st_size == zip_size(specs)
    with open_params(tmp_path / "x.params") as params:
        assert {name: params[name].shape for name in params} == {spec.name: spec.shape for spec in specs}


def test_every_published_size_of_every_family_can_be_written() -> None:
    sizes = {variant.name for family in OLDER for variant in family.variants}
    assert sizes == {checkpoint.variant for checkpoint in zoo.known_checkpoints().values()} - {""}


def test_a_result_takes_the_place_of_an_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "RESULTS", tmp_path / "parity.json")
    monkeypatch.setattr(zoo, "PAGE", tmp_path / "parity.md")
    known = zoo.known_checkpoints()
    first, second, *_ = known
    for name, parameters in ((second, 2), ("gone", 0), (first, 1), (second, 22)):
        zoo.keep(zoo.Result(name, parameters=parameters), {**known, "gone": known[first]} if name == "gone" else known)
    assert [(each.name, each.parameters) for each in zoo.kept_results()] == [(first, 1), (second, 22)]
    page = zoo.PAGE.read_text("utf-8")
    missing = page.split("Not run yet: ")[1].split(".\n")[0].split(", ")
    assert (
        missing
        == [f"`{name}`" for name, checkpoint in known.items() if checkpoint.variant and not checkpoint.entry][2:]
    )
    zoo.PAGE.unlink()
    assert zoo.main(["--page"]) == 0
    assert zoo.PAGE.read_text("utf-8") == page


def test_the_page_shows_the_kept_results_and_marks_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, page = zoo.kept_results(), zoo.PAGE.read_text("utf-8")
    monkeypatch.setattr(zoo, "PAGE", tmp_path / "parity.md")
    zoo.write_page(zoo.known_checkpoints())
    assert zoo.PAGE.read_text("utf-8") == page, "make readme"
    page = zoo.page_of([results[0], replace(results[1], problems=("FAIL layer 3",))])
    assert "2 checkpoints, 1 failed.\n\n- " in page
    assert page.count("| PASS |") == page.count("| **FAIL** |") == 1
