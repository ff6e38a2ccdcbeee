"""A model inside of another network: every command knows its place, and every bit beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from command_line import run
from family_forms import EVERY_FORM, HEADS, LAYERS, fit_to, header_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bort_convert import check, convert, export, extract, inspect, open_params, save_params
from bort_convert.errors import FormatError, OptionError, OtherTensorsError
from bort_convert.model_dir.read import read_manifest
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from headers import Header

    from bort_convert.arguments import FamilyName
    from bort_convert.dtypes import Array
    from bort_convert.mapping.family import Family, Table

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
SHARED = ROOT.parent / "shared" / "corpus" / "cases" / "backbone-in-another-net"
OTHERS = {"later", "argaux", "intent3slots5"}
"""Endings of checkpoints of another release, with a marker of their own, and of a form that no class computes."""
CHECKPOINTS = sorted(path for path in FIXTURES.glob("*_[0-9]*_[0-9]*.params") if not OTHERS & {*path.stem.split("-")})
WRITTEN = ("model.safetensors", "config.json")


def arrays_of(path: Path) -> dict[str, Array]:
    with open_params(path, mapped=False) as params:
        return dict(params)


def bits_of(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays_of(path).items()}


def options_of(path: Path) -> dict[str, Any]:
    family, _, heads, *_ = path.stem.split("_")
    return {"family": family} if family == "xlnet" else {"family": family, "heads": int(heads)}


def moved(source: Path, target: Path, prefix: str, **others: Array) -> Path:
    """Save the arrays of a file under other names, with others beside them."""
    save_params(target, {**{prefix + name: array for name, array in arrays_of(source).items()}, **others})
    return target


HEAD = {"fc.weight": np.arange(6, dtype=np.float32), "pooler.dense.weight": np.arange(3, dtype=np.int64)}


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A BERT in a network with a head, two of whose names could be those of another tensor."""
    return moved(FIXTURES / "bert_2_2_8_8-pooled.params", tmp_path / "net.params", "bert_model.", **HEAD)


BERT: dict[str, Any] = {"family": "bert", "heads": 2}


@pytest.mark.parametrize("source", CHECKPOINTS, ids=lambda path: path.stem)
def test_a_model_under_a_path_or_in_a_scope_becomes_the_same_directory_and_comes_back(
    source: Path, tmp_path: Path
) -> None:
    alone = convert(source, tmp_path / "alone", **options_of(source))
    is_prefixed = "prefix" in source.stem
    for number, prefix in enumerate(("net0_", "a_b1_") if is_prefixed else ("bert_model.", "a.0.b.")):
        there = moved(source, tmp_path / f"{number}.params", prefix)
        manifest = convert(there, tmp_path / f"{number}", **options_of(source))
        for name in WRITTEN:
            assert (tmp_path / f"{number}" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
        assert (manifest.prefix, [*manifest.extra]) == (prefix, [prefix + name for name in alone.extra])
        exported = export(tmp_path / f"{number}", tmp_path / "back.params", force=True)
        assert bits_of(tmp_path / "back.params") == bits_of(there)
        assert exported.options == {"names": "source"}
        assert exported.notes[0] == f"the arrays of {number}.params, bit for bit"
        assert check(tmp_path / f"{number}", source=there)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.sampled_from([path for path in CHECKPOINTS if "prefix" not in path.stem]),
    parts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters=".:\0"), min_size=1, max_size=6), min_size=1, max_size=3
    ),
    marker=st.sampled_from(["", "arg:", "aux:"]),
)
def test_any_path_in_front_is_recorded_and_comes_back(
    source: Path, parts: list[str], marker: str, tmp_path: Path
) -> None:
    path = "".join(f"{part}." for part in parts)
    there = moved(source, tmp_path / "there.params", marker + path, **{f"{marker}zz.y": np.zeros(2, np.float32)})
    manifest = convert(there, tmp_path / "out", force=True, keep_extra=True, **options_of(source))
    assert (manifest.prefix, list(manifest.extra)[-1]) == (path, f"{marker}zz.y")
    export(tmp_path / "out", tmp_path / "back.params", force=True)
    assert bits_of(tmp_path / "back.params") == bits_of(there)


def arrays_with(family: Family, table: Table, header: Header) -> dict[str, Array]:
    """Random values for a checkpoint; tied tensors are equal, and constants are what the table says."""
    plan, rng = fit_to(family, table, header=header).plan, np.random.default_rng(0)
    arrays = {name: rng.standard_normal(spec.shape, np.float32) for name, spec in header.items() if spec}
    for step in plan.steps:
        if not step.targets:
            arrays |= zip(step.sources, step.op.inverse(), strict=True)
    return arrays | {alias: arrays[original] for alias, original in plan.aliases}


@EVERY_FORM
def test_every_form_comes_back_from_another_network(
    family: Family, table: Table, groups: frozenset[str], tmp_path: Path
) -> None:
    arrays = arrays_with(family, table, header_with(table, groups))
    source = tmp_path / "x.params"
    save_params(source, {**{f"tower.text.{name}": array for name, array in arrays.items()}, **HEAD})
    layers = LAYERS if any(name.endswith("groups.0.attn_qkv.bias") for name in arrays) else None
    manifest = convert(
        source,
        tmp_path / "out",
        family=cast("FamilyName", family.name),
        heads=HEADS,
        layers=layers,
        keep_extra=True,
        checksums=False,
    )
    assert (manifest.table, manifest.prefix) == (table.title, "tower.text.")
    assert HEAD.keys() <= manifest.extra.keys()
    export(tmp_path / "out", tmp_path / "back.params")
    assert bits_of(tmp_path / "back.params") == bits_of(source)


def test_other_tensors_are_refused_and_nothing_is_written(net: Path, tmp_path: Path) -> None:
    with pytest.raises(OtherTensorsError, match=r"a BERT stands under `bert_model\.`; 2 other tensors: fc\.w"):
        convert(net, tmp_path / "out", **BERT)
    outcome = run("convert", net, tmp_path / "out", "--family", "bert", "--heads", "2")
    assert outcome.exit_code == 3
    assert outcome.stderr == (
        "Error: a BERT stands under `bert_model.`; 2 other tensors: fc.weight (6), pooler.dense.weight (3). Pass "
        "--ignore 'fc.*' --ignore 'pooler.*' to leave them out, or --keep-extra to keep them in a file beside the "
        "model. To give them a place in a class, draft a table: `inspect` with --write-table own.toml\n"
    )
    assert not (tmp_path / "out").exists()
    assert str(inspect(net, **BERT).misfit).startswith("a BERT stands under")


def test_the_advice_of_the_refusal_can_be_typed(net: Path, tmp_path: Path) -> None:
    outcome = run(
        "convert", net, tmp_path / "out", "--family", "bert", "--heads", "2", "--ignore", "fc.*", "--ignore", "pooler.*"
    )
    assert outcome.exit_code == 0
    assert "  stood under bert_model. in net.params\n" in outcome.stdout
    assert "  fc.weight: left out, ignored by 'fc.*'\n" in outcome.stdout
    manifest = read_manifest(tmp_path / "out")
    assert manifest.left_out == {"fc.weight": "ignored by 'fc.*'", "pooler.dense.weight": "ignored by 'pooler.*'"}
    assert manifest.options["ignore"] == ["fc.*", "pooler.*"]
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "| left out | `pooler.dense.weight`, ignored by 'pooler.*' |" in card
    assert "| stood under | `bert_model.` |" in card
    assert not (tmp_path / "out" / "extra.safetensors").exists()
    exported = export(tmp_path / "out", tmp_path / "back.params")
    assert exported.notes[0] == "the arrays of net.params, bit for bit, but for 2 that were ignored"
    expected = {name: bits for name, bits in bits_of(net).items() if name not in HEAD}
    assert bits_of(tmp_path / "back.params") == expected
    assert check(tmp_path / "out", source=net)


def test_extra_tensors_are_kept_bit_for_bit_and_named_everywhere(net: Path, tmp_path: Path) -> None:
    outcome = run(
        "convert", net, tmp_path / "out", "--family", "bert", "--heads", "2", "--keep-extra", "--dtype", "float16"
    )
    assert outcome.exit_code == 0
    assert "  2 other tensors kept in extra.safetensors: fc.weight, pooler.dense.weight\n" in outcome.stdout
    with open_tensors(tmp_path / "out" / "extra.safetensors") as extra:
        assert {name: (array.dtype.name, array.tolist()) for name, array in extra.items()} == {
            name: (array.dtype.name, array.tolist()) for name, array in HEAD.items()
        }
    document = json.loads((tmp_path / "out" / "conversion.json").read_text("utf-8"))
    assert list(document["extra"]) == list(HEAD)
    assert document["prefix"] == "bert_model."
    assert "| kept in `extra.safetensors` | `fc.weight` |" in (tmp_path / "out" / "README.md").read_text("utf-8")
    outcome = run("check", tmp_path / "out", "--source", net)
    assert outcome.exit_code == 0
    assert outcome.stdout.endswith("  2 of them in extra.safetensors: fc.weight, pooler.dense.weight\n")


def test_the_way_back_has_every_bit_again(net: Path, tmp_path: Path) -> None:
    convert(net, tmp_path / "out", keep_extra=True, **BERT)
    outcome = run("export", tmp_path / "out", tmp_path / "back.params")
    assert outcome.exit_code == 0
    assert "  2 of them from extra.safetensors: fc.weight, pooler.dense.weight\n" in outcome.stdout
    assert bits_of(tmp_path / "back.params") == bits_of(net)
    export(tmp_path / "out", tmp_path / "structural.params", names="structural")
    assert bits_of(tmp_path / "structural.params") == bits_of(net)
    with pytest.raises(OptionError, match=r"the names of net.params alone\. Pass `names='source'`"):
        export(tmp_path / "out", tmp_path / "no.params", names="prefix")


@pytest.mark.parametrize("damage", ["flip", "missing", "renamed", "other"])
def test_a_change_of_an_extra_tensor_is_found(net: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    convert(net, out, keep_extra=True, **BERT)
    path = out / "extra.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    elif damage == "renamed":
        content = content.replace(b'"fc.weight"', b'"fc.weighs"')
    path.write_bytes(content)
    if damage == "missing":
        path.unlink()
    if damage == "other":
        (out / "model.safetensors").write_bytes(bytes(content))
    found = check(out)
    assert not found
    if damage == "flip":
        assert any(line.startswith("fc.weight: has the sha256") for line in found.problems)
        changed = export(out, tmp_path / "back.params")
        assert "1 of 41 tensors are no longer those of net.params" in changed.notes
        assert "fc.weight: 1 of 6 values come back with other bits" in "\n".join(check(out, source=net).problems)
    elif damage != "other":
        with pytest.raises(FormatError, match=r"extra\.safetensors"):
            export(out, tmp_path / "back.params")


def test_a_record_without_a_value_is_left_out(net: Path, tmp_path: Path) -> None:
    arrays = arrays_of(net)
    save_params(net, {**arrays, "none": np.zeros(0, np.float32)})
    manifest = convert(net, tmp_path / "out", keep_extra=True, **BERT)
    assert {*manifest.extra, *manifest.left_out} == {*HEAD, "none"}


def test_extract_selects_by_names_too(net: Path, tmp_path: Path) -> None:
    manifest = extract(net, tmp_path / "x.safetensors", prefix="bert_model.", ignore=["*.bias"])
    assert all(name.startswith("bert_model.") and not name.endswith(".bias") for name in manifest.tensors)
    assert manifest.left_out["fc.weight"] == "not under bert_model."
    assert manifest.left_out["bert_model.pooler.bias"] == "ignored by '*.bias'"
    assert {*manifest.tensors, *manifest.left_out} == bits_of(net).keys()
    with pytest.raises(OptionError, match=r"`prefix='bart\.'`: no name in the file begins so"):
        extract(net, tmp_path / "y.safetensors", prefix="bart.")


@pytest.mark.parametrize("function", [convert, inspect, extract])
def test_a_pattern_alone_is_no_list(function: Any, net: Path, tmp_path: Path) -> None:  # noqa: ANN401
    target = {inspect: (), extract: (tmp_path / "x.npz",)}.get(function, (tmp_path / "out",))
    try:
        error: object = function(net, *target, ignore="fc.*").misfit
    except OptionError as raised:
        error = raised
    assert str(error) == "`ignore='fc.*'`: expected a list of patterns"


@pytest.mark.torch
def test_transformers_loads_the_directory_with_its_extra_file(net: Path, tmp_path: Path) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    convert(net, tmp_path / "out", keep_extra=True, max_shard_size="5KB", **BERT)
    model, report = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    expected = arrays_of(net)["bert_model.pooler.weight"]
    assert model.pooler.dense.weight.detach().numpy().tobytes() == expected.tobytes()


@pytest.mark.torch
@pytest.mark.mxnet
@pytest.mark.parametrize("options", [{"keep_extra": True}, {"ignore": ["fc.*", "pooler.dense.*"]}])
def test_verify_and_record_run_the_model_alone(options: dict[str, Any], net: Path, tmp_path: Path) -> None:
    from bort_convert import record, verify  # noqa: PLC0415 - they import NumPy and more

    convert(net, tmp_path / "out", **options, **BERT)
    report = verify(net, tmp_path / "out", gradients=True)
    assert report, report.headline
    assert all(layer.max_abs < 1e-12 for run in report.runs if run.dtype == "float64" for layer in run.layers)
    record(net, tmp_path / "ref.safetensors", batch=1, **options, **BERT)
    assert verify(tmp_path / "ref.safetensors", tmp_path / "out")


POOLED = (-0.36334, -0.44477, 0.09974, 0.64782)
"""What MXNet gives for the ids 5, 6, 7 and 8, by the README of the case."""


def pooled(folder: Path) -> Array:
    import torch  # noqa: PLC0415 - heavy, and marked
    import transformers  # noqa: PLC0415

    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        found: Array = model(torch.tensor([[5, 6, 7, 8]])).pooler_output[0].numpy()
    return found


@pytest.mark.torch
@pytest.mark.shared
@pytest.mark.parametrize("options", [{"keep_extra": True}, {"ignore": ["fc1.*", "out.*"]}])
@pytest.mark.parametrize("name", ["net", "other"])
def test_the_case_of_the_corpus_has_mxnets_values(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip("no corpus beside the checkout")
    manifest = convert(SHARED / f"{name}.params", tmp_path / "out", **options, **BERT)
    assert manifest.prefix == {"net": "bert.", "other": "bert_model."}[name]
    assert np.abs(pooled(tmp_path / "out")[:4] - POOLED).max() < 1e-5


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that GluonNLP on MXNet made; see `support/gluon_networks.py`."""
    folder = tmp_path_factory.mktemp("networks")
    script = ROOT / "tests" / "support" / "gluon_networks.py"
    subprocess.run([sys.executable, "-W", "ignore", script, folder], check=True, capture_output=True)
    return folder


CASES = {
    "scoped": ("tower.0.", "scoped0_sequential0_", 4),
    "mine": ("tower.0.", "mine_sequential0_", 4),
    "unscoped": ("text.", "", 2),
    "named": ("text.", "", 2),
    "bi": ("doc.", "biencoder0_", 23),
}


@pytest.mark.torch
@pytest.mark.mxnet
@pytest.mark.parametrize("style", ["", "-prefix"])
@pytest.mark.parametrize("name", CASES)
def test_a_bert_in_a_network_of_gluon_has_mxnets_values(name: str, style: str, networks: Path, tmp_path: Path) -> None:
    source = networks / f"{name}{style}.params"
    prefix = CASES[name][style == "-prefix"]
    options = {**BERT, "prefix": prefix} if name == "bi" else BERT
    with pytest.raises(OtherTensorsError, match=f"; {CASES[name][2]} other tensors: "):
        convert(source, tmp_path / "out", **options)
    manifest = convert(source, tmp_path / "out", keep_extra=True, **options)
    assert (manifest.prefix, len(manifest.extra)) == (prefix, CASES[name][2])
    (expected,) = arrays_of(networks / f"{name}.pooled").values()
    assert np.abs(pooled(tmp_path / "out") - expected[0]).max() < 1e-6
    export(tmp_path / "out", tmp_path / "back.params")
    assert bits_of(tmp_path / "back.params") == bits_of(source)
