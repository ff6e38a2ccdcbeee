"""Differences between gluonnlp versions: hyperparameters and rows of a family that `gluonnlp_version` changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bort_convert.cli import main
from bort_convert.commands.convert import convert
from bort_convert.commands.export import export
from bort_convert.commands.inspect import inspect
from bort_convert.errors import OptionError, VariantError
from bort_convert.mapping.family import GLUONNLP_VERSIONS, SPECIAL_TOKEN_IDS, Family, Table, module_overrides
from bort_convert.models import _encoder
from bort_convert.models.registry import families
from bort_convert.params import open_params
from bort_convert.safetensors import open_tensors

FIXTURES = Path(__file__).parents[2] / "fixtures"
SOURCES = sorted(
    path
    for family in ("bert", "distilbert", "ernie", "roberta")
    for path in FIXTURES.glob(f"{family}_2_2_8_8*.params")
    if "prefix" not in path.stem
)
HEADS = 2
VERSIONS = ("0.9.1", "0.9.2", "0.10")


def family_of(source: Path) -> str:
    return source.name.partition("_")[0]


def arrays_of(path: Path) -> dict[str, bytes]:
    with open_params(path) as params:
        return {name: array.tobytes() for name, array in params.items()}


@pytest.mark.parametrize("gluonnlp_version", VERSIONS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_conversion_for_any_version_comes_back_bit_for_bit(
    source: Path, gluonnlp_version: str, tmp_path: Path
) -> None:
    manifest = convert(
        source, tmp_path / "out", family=family_of(source), heads=HEADS, gluonnlp_version=gluonnlp_version
    )
    assert manifest.options["gluonnlp_version"] == gluonnlp_version
    back = export(tmp_path / "out", tmp_path / "back.params")
    assert back.notes[0] == f"the arrays of {source.name}, bit for bit"
    restored, expected = arrays_of(tmp_path / "back.params"), arrays_of(source)
    if source.stem.endswith("-later"):  # written with its structural names
        assert sorted(set(restored.values())) == sorted(set(expected.values()))
    else:
        assert restored == expected


def test_version_0_9_changes_the_order_of_the_biases_alone(tmp_path: Path) -> None:
    source = FIXTURES / "bert_2_2_8_8.params"
    converted: list[dict[str, np.ndarray]] = []
    for gluonnlp_version in (None, "0.9"):
        convert(source, tmp_path / f"{gluonnlp_version}", family="bert", heads=HEADS, gluonnlp_version=gluonnlp_version)
        with open_tensors(tmp_path / f"{gluonnlp_version}" / "model.safetensors") as file:
            converted.append({name: array.copy() for name, array in file.items()})
    plain, reordered = converted
    part = "bert.encoder.layer.{}.attention.self.{}.bias"
    changed = {part.format(layer, kind) for layer in range(2) for kind in ("query", "key", "value")}
    assert {name for name in plain if not np.array_equal(plain[name], reordered[name])} == changed
    whole = np.concatenate([plain[part.format(1, kind)] for kind in ("query", "key", "value")])  # (24,)
    # Two heads of head_dim 4: the first head's query, key and value are the first twelve numbers.
    assert reordered[part.format(1, "query")].tolist() == [*whole[0:4], *whole[12:16]]
    assert reordered[part.format(1, "key")].tolist() == [*whole[4:8], *whole[16:20]]
    assert reordered[part.format(1, "value")].tolist() == [*whole[8:12], *whole[20:24]]


def test_version_0_8_is_the_default(tmp_path: Path) -> None:
    for source in SOURCES:
        for gluonnlp_version in (None, "0.8.3"):
            convert(
                source,
                tmp_path / f"{gluonnlp_version}",
                family=family_of(source),
                heads=HEADS,
                gluonnlp_version=gluonnlp_version,
                force=True,
            )
        for name in ("model.safetensors", "config.json"):
            one, other = ((tmp_path / folder / name).read_bytes() for folder in ("None", "0.8.3"))
            assert one == other


@pytest.mark.parametrize(
    ("family", "gluonnlp_version", "hyperparameters"),
    [
        ("bort", "0.8", {"head_layer_norm_eps": 1e-12}),
        ("bort", "0.9.1", {"head_layer_norm_eps": 1e-12, "embedding_layer_norm_eps": 1e-12, "scrambled_biases": True}),
        ("roberta", "0.9.2", {"head_layer_norm_eps": 1e-5, "scrambled_biases": True}),
        ("roberta", "0.10.0", {"head_layer_norm_eps": 1e-5}),
        ("ernie", "0.10", {"head_layer_norm_eps": 1e-5, "head_hidden_act": "gelu"}),
        ("distilbert", "0.9.0.post0", {"embedding_layer_norm_eps": 1e-12, "scrambled_biases": True}),
        ("bert", "0.9", {"scrambled_biases": True}),
        ("bert", "0.10", {}),
        ("gpt2", "0.8", {}),
        ("gpt2", "0.9", {}),
    ],
)
def test_a_version_has_the_hyperparameters_in_which_it_differs(
    family: str, gluonnlp_version: str, hyperparameters: dict[str, object]
) -> None:
    default = families()[family]
    own = ("hidden_act", "layer_norm_eps", *SPECIAL_TOKEN_IDS)
    constant = {name: value for name, value in default.hyperparameters.items() if name in own}
    assert default.for_version(gluonnlp_version).hyperparameters == {**constant, **hyperparameters}


def test_module_overrides_are_those_that_differ_from_the_config() -> None:
    hyperparameters = {
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
        "head_layer_norm_eps": 1e-5,
        "head_hidden_act": "gelu",
    }
    assert module_overrides(hyperparameters) == {"head_hidden_act": "gelu"}
    assert module_overrides({**hyperparameters, "head_layer_norm_eps": 1e-12}) == {
        "head_layer_norm_eps": 1e-12,
        "head_hidden_act": "gelu",
    }


def test_an_unknown_version_and_one_that_stands_for_several_are_refused() -> None:
    for version in ("0.1", "0.7", "1.0", "", "latest"):
        with pytest.raises(OptionError) as wrong:
            families()["bert"].for_version(version)
        assert str(wrong.value) == f"`gluonnlp_version={version!r}`: expected one of 0.8, 0.9.0, 0.9.1, 0.9.2, 0.10"
    with pytest.raises(VariantError) as caught:
        families()["roberta"].for_version("0.9")
    assert str(caught.value) == (
        "`gluonnlp_version='0.9'`: the versions 0.9.0, 0.9.1, 0.9.2 compute RoBERTa differently. Pass one of them"
    )
    assert (caught.value.missing, caught.value.candidates) == (("gluonnlp_version",), ("0.9.0", "0.9.1", "0.9.2"))


def test_a_family_states_any_hyperparameter_of_a_version_as_data() -> None:
    family = replace(families()["bert"], by_version={"0.8": {"hidden_act": "relu"}})
    assert [family.for_version(version).hyperparameters["hidden_act"] for version in GLUONNLP_VERSIONS] == [
        "relu",
        *["gelu"] * 4,
    ]
    assert family.for_version("0.9").hyperparameters == family.hyperparameters


def names_of(table: Table) -> list[tuple[str, str]]:
    sources = [("source", source.name) for row in table.rows for source in row.sources]
    return sources + [("target", target) for row in table.rows for target in row.targets]


@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.name)
def test_every_version_of_every_family_has_tables_of_the_same_tensors_each_named_once(family: Family) -> None:
    for version in family.versions:
        trained = family.for_version(version)
        for before, table in zip(family.tables, trained.tables, strict=True):
            assert sorted(names_of(table)) == sorted(names_of(before))
            assert len(set(names_of(table))) == len(names_of(table))
        scrambled = any(row.when == _encoder.SCRAMBLED for table in trained.tables for row in table.rows)
        assert scrambled == (trained.hyperparameters.get(_encoder.SCRAMBLED) is True)


def test_inspect_and_the_command_line_show_the_effect_of_a_version(tmp_path: Path) -> None:
    source = FIXTURES / "roberta_2_2_8_8.params"
    found = inspect(source, family="roberta", heads=HEADS, gluonnlp_version="0.9.1")
    assert found.fit is not None
    assert found.fit.hyperparameters["embedding_layer_norm_eps"] == 1e-12
    misfit = inspect(source, family="roberta", heads=HEADS, gluonnlp_version="0.9").misfit
    assert isinstance(misfit, VariantError)
    arguments = [str(source), str(tmp_path / "out"), "--family", "roberta", "--heads", "2", "--gluonnlp-version"]
    shown = CliRunner().invoke(main, [*arguments, "0.9.2"]).stdout
    assert "  trained by gluonnlp 0.9.2: as you said; nothing in the file can tell\n" in shown
    shown = CliRunner().invoke(main, ["inspect", str(source), *arguments[2:], "0.9.2"]).stdout
    assert "scramble: gluonnlp 0.9 learned the three biases in another order" in shown
    result = CliRunner().invoke(main, [*arguments, "0.9", "--force"])
    assert result.exit_code == VariantError.exit_code
    assert "the versions 0.9.0, 0.9.1, 0.9.2 compute RoBERTa differently. Pass one of them" in result.stderr
    assert CliRunner().invoke(main, [*arguments, "0.7", "--force"]).exit_code == OptionError.exit_code
