"""Tables of one's own, from a refused file to a model and back: networks of MXNet, the command line, transformers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command_line import run

import bort_convert
from bort_convert import FormatError, OptionError, ParityError, open_params
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

NETWORKS = {
    "BERT, two layers": ("two layers", "bert", "bert_model"),
    "RoBERTa, two layers": ("two layers", "roberta", "net"),
    "BERT tagger": ("tagger", "bert", "text"),
    "RoBERTa tagger": ("tagger", "roberta", "tower"),
    "GPT-2 tagger": ("tagger", "gpt2", "gpt"),
}
CLASSES = {
    "BERT, two layers": "BertForSequenceClassification",
    "RoBERTa, two layers": "RobertaForSequenceClassification",
    "BERT tagger": "BertForTokenClassification",
    "RoBERTa tagger": "RobertaForTokenClassification",
    "GPT-2 tagger": "GPT2ForTokenClassification",
}
DRAFT = """\
# A draft for own.params: BERT under bert_model., and 5 other tensors beside it.
# It converts as it is; what begins with DECIDE is yours to decide.
extends = "bert"
backbone = "bert_model."
class = "BertForSequenceClassification"
rows = [
  # DECIDE: the class computes what is around these layers: which tokens they read, and the activation.
  # A dense layer of 8 to 8.
  {linear = "head.1", to = "bert.pooler.dense", axes = "hidden_size hidden_size"},
  # A dense layer of 8 to 5.
  {linear = "head.2", to = "classifier", axes = "labels hidden_size"},
  # DECIDE: kept beside the model as it is; another word makes a tensor a part of the class.
  {extra = "crf.transitions", axes = "labels labels"},  # (5, 5)
]
# DECIDE: the names of the 5 outputs, in their order.
# labels = ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"]
"""
FITTING = ("--family", "bert", "--heads", 2, "--write-table")
BROKEN = """\
extends = "bert"
backbone = "bert_model."
class = "BartForSequenceClassification"
rows = [
  {lineer = "head.1", to = "bert.pooler.dense", axes = "hidden_size hidden_size"},
  {linear = "head.2", to = "classifier"},
  {extra = "crf.transitions", axes = "labels labels"},
  {drop = "crf.transitions", axes = "labels labels"},
]
"""


@dataclass(frozen=True)
class Own:
    """A network in a file, and the table that was drafted for it."""

    name: str
    family: str
    source: Path
    logits: Array
    table: Path

    def convert(self, out: Path, *options: object) -> dict[str, Any]:
        result = run(self.source, out, "--table", self.table, "--heads", 2, "--json", *options)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


def drafted(folder: Path, name: str, *, prefixed: bool = False) -> Own:
    from own_networks import logits_of, network, save  # noqa: PLC0415 - mxnet is there when a test needs it

    kind, family, attribute = NETWORKS[name]
    net = network(kind, family, attribute)
    source, table = save(net, folder / "own.params", prefixed=prefixed), folder / "own.toml"
    assert run(source, folder / "refused", "--heads", 2, "--family", family).exit_code == 3
    result = run("inspect", source, "--family", family, "--write-table", table)
    assert result.exit_code == 0
    assert f"{table}: a draft of a table. Edit it, then: bort-convert {source} OUT --table {table}" in result.stdout
    return Own(name, family, source, logits_of(net), table)


def test_a_draft_says_what_is_there_and_what_is_to_be_decided(fixtures: Path, tmp_path: Path) -> None:
    source, table = fixtures / "own_head.params", tmp_path / "own.toml"
    assert run("inspect", source, "--family", "bert", "--write-table", table).exit_code == 0
    assert table.read_text("utf-8") == DRAFT.replace("own.params", "own_head.params")
    assert run(source, tmp_path / "out", "--table", table, "--heads", 2).exit_code == 0


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return drafted(tmp_path_factory.mktemp("own"), "BERT, two layers")


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("prefixed", [False, True], ids=["structural", "prefixed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_refused_file_becomes_a_proved_model_and_comes_back_bit_for_bit(
    name: str,
    prefixed: bool,  # noqa: FBT001 - pytest gives it
    tmp_path: Path,
) -> None:
    import torch  # noqa: PLC0415 - as above
    import transformers  # noqa: PLC0415 - as above
    from own_networks import IDS, logits_of, mx, network  # noqa: PLC0415 - as above

    own, out, back = drafted(tmp_path, name, prefixed=prefixed), tmp_path / "out", tmp_path / "back.params"
    manifest = own.convert(out)
    assert manifest["architecture"] == CLASSES[name]
    assert manifest["options"]["table"] == own.table.read_text("utf-8")
    own.table.unlink()  # nothing needs it any more
    assert run("check", out, "--source", own.source).exit_code == 0
    report = bort_convert.verify(own.source, out)
    assert report, report.headline
    assert any(note.startswith("the head of your own table was compared in its bits alone") for note in report.notes)
    exported = run("export", out, back)
    assert "the arrays of own.params, bit for bit" in exported.stdout
    with open_params(own.source) as before, open_params(back) as after:
        assert set(before) == set(after)
        assert all(before[key].tobytes() == after[key].tobytes() for key in before)
    if not prefixed:  # the counters of another network are others
        again = network(*NETWORKS[name])
        again.initialize(mx.init.Zero(), force_reinit=True)
        again.load_parameters(str(back))
        assert np.array_equal(logits_of(again), own.logits)
    model = getattr(transformers, CLASSES[name]).from_pretrained(str(out)).eval()
    with torch.no_grad():
        found = model(torch.tensor(IDS)).logits.numpy()
    assert found.shape == own.logits.shape
    assert np.abs(found - own.logits).max() < 2e-5


@pytest.mark.mxnet
def test_the_draft_says_what_there_is_and_what_is_to_decide(two_layers: Own) -> None:
    assert two_layers.table.read_text("utf-8") == DRAFT


@pytest.mark.mxnet
@pytest.mark.torch
def test_the_exported_network_proves_the_head_too(tmp_path: Path) -> None:
    from own_networks import export, network, save  # noqa: PLC0415 - as above

    table, outcomes = tmp_path / "own.toml", {}
    text = DRAFT.replace("size hidden_size", 'size hidden_size", prefixed = "twolayers#_dense0').replace(
        "labels hidden_size", 'labels hidden_size", prefixed = "twolayers#_dense1'
    )
    table.write_text(text)
    for activation in ("tanh", "relu"):
        net = network("two layers", "bert", "bert_model", activation=activation)
        source = save(net, tmp_path / f"{activation}.params")
        symbol, out = export(net, tmp_path / activation), tmp_path / f"{activation}.out"
        bort_convert.convert(source, out, table=table, heads=2)
        report = bort_convert.verify(source, out, symbol=symbol)
        assert {layer.name for run in report.runs for layer in run.layers} >= {"layer.1", "pooled", "logits"}
        assert not any("the head of your own table" in note for note in report.notes)
        outcomes[activation] = report.headline
        assert bort_convert.verify(source, out)  # GluonNLP has no network for the head
    assert outcomes["tanh"].startswith("PASS")
    assert re.match("FAIL .*pooled", outcomes["relu"])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "architecture", "extra"),
    [
        ("electra_classifier_a", "ElectraForTokenClassification", 0),
        ("bert_qa_conditional_a", "BertModel", 12),
    ],
)
def test_a_table_extends_a_family_of_gluonnlp_1_too(
    shared: Path, tmp_path: Path, name: str, architecture: str, extra: int
) -> None:
    source, table = shared / "corpus" / "gluonnlp1" / f"{name}.params", tmp_path / "own.toml"
    out, back = tmp_path / "out", tmp_path / "back.params"
    assert run(source, out, "--heads", 4).exit_code == 3
    assert run("inspect", source, "--heads", 4, "--write-table", table).exit_code == 0
    manifest = bort_convert.convert(source, out, table=table, heads=4)
    assert (manifest.architecture, len(manifest.extra)) == (architecture, extra)
    assert bort_convert.check(out, source=source)
    exported = bort_convert.export(out, back)
    assert f"the arrays of {name}.params, bit for bit" in exported.notes
    with open_params(source) as before, open_params(back) as after:
        assert {key: values.tobytes() for key, values in before.items()} == {
            key: values.tobytes() for key, values in after.items()
        }


@pytest.mark.mxnet
def test_what_the_class_has_no_place_for_is_kept_beside_the_model(two_layers: Own, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = two_layers.convert(out)
    with open_params(two_layers.source) as params, open_tensors(out / "extra.safetensors") as extra:
        assert list(extra) == ["crf.transitions"] == list(manifest["extra"])
        assert extra["crf.transitions"].tobytes() == params["crf.transitions"].tobytes()
    assert "crf.transitions" not in str(manifest["tensors"])
    damaged = bytearray((out / "extra.safetensors").read_bytes())
    damaged[-1] ^= 1
    (out / "extra.safetensors").write_bytes(damaged)
    checked = run("check", out)
    assert checked.exit_code == 1
    assert "crf.transitions" in checked.stdout


@pytest.mark.mxnet
def test_all_mistakes_of_a_table_come_at_once_with_exit_code_2(two_layers: Own, tmp_path: Path) -> None:
    table = tmp_path / "broken.toml"
    table.write_text(BROKEN)
    result = run(two_layers.source, tmp_path / "out", "--table", table, "--heads", 2)
    assert result.exit_code == 2
    first, *lines = result.stderr.splitlines()
    assert first == f"Error: --table {table}: has 4 mistakes:"
    assert [line.split(":")[0] for line in lines] == ["  line 3", "  line 5", "  line 6", "  line 8"]
    assert "BartForSequenceClassification" in lines[0]
    assert "unknown word 'lineer'" in lines[1]
    assert "`linear` needs axes" in lines[2]
    assert "takes crf.transitions a second time, after line 7" in lines[3]
    assert not (tmp_path / "out").exists()
    document = json.loads(run("inspect", two_layers.source, "--table", table, "--json").stdout)
    assert document["error"]["type"] == "TableError"
    assert len(document["error"]["disagreements"]) == 4


@pytest.mark.mxnet
def test_a_table_that_does_not_fit_the_file_gets_all_disagreements(two_layers: Own, tmp_path: Path) -> None:
    table = tmp_path / "own.toml"
    text = two_layers.table.read_text("utf-8").replace('"labels labels"', '"labels labels labels"')
    table.write_text(text.replace('"head.2"', '"head.3"').replace("hidden_size hidden_size", "hidden_size 7"))
    result = run(two_layers.source, tmp_path / "out", "--table", table, "--heads", 2)
    assert result.exit_code == 3
    assert "head.1.weight: found shape (8, 8); 8 where 7 is expected" in result.stderr
    assert "head.3.weight: found nothing, expected shape" in result.stderr
    assert "crf.transitions: found shape (5, 5), expected 3 axes (labels, labels, labels)" in result.stderr
    assert "head.2.weight: found float32 (5, 8), no row of the table takes it" in result.stderr


@pytest.mark.mxnet
def test_labels_and_config_keys_come_from_the_table_and_labels_from_the_option_first(
    two_layers: Own, tmp_path: Path
) -> None:
    table = tmp_path / "own.toml"
    more = 'labels = ["a", "b", "c", "d", "e"]\n[config]\nclassifier_dropout = 0.25\nhidden_dropout_prob = 0.0\n'
    table.write_text(two_layers.table.read_text("utf-8") + more)
    own = Own(two_layers.name, two_layers.family, two_layers.source, two_layers.logits, table)
    own.convert(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}
    assert (config["classifier_dropout"], config["hidden_dropout_prob"]) == (0.25, 0.0)
    own.convert(tmp_path / "other", "--labels", "v,w,x,y,z")
    config = json.loads((tmp_path / "other" / "config.json").read_text("utf-8"))
    assert config["id2label"]["0"] == "v"
    wrong = run(own.source, tmp_path / "x", "--table", table, "--heads", 2, "--labels", "v,w")
    assert wrong.exit_code == 2


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_class_without_such_tensors_is_named_by_verify_and_on_loading(two_layers: Own, tmp_path: Path) -> None:
    table, out = tmp_path / "own.toml", tmp_path / "out"
    table.write_text(two_layers.table.read_text("utf-8").replace('to = "classifier"', 'to = "scorer"'))
    own = Own(two_layers.name, two_layers.family, two_layers.source, two_layers.logits, table)
    own.convert(out)
    report = bort_convert.verify(own.source, out)
    assert not report
    detail = report.checks[0].detail
    assert "scorer.weight: the target model has no such tensor" in detail
    assert "classifier.weight: missing, expected shape (5, 8)" in detail
    with pytest.raises(ParityError, match=r"missing: classifier\.bias, classifier\.weight; unexpected: scorer\.bias"):
        bort_convert.load_pretrained(out)
    table.write_text(two_layers.table.read_text("utf-8").replace("SequenceClassification", "NoSuchTask"))
    own.convert(out, "--force")
    with pytest.raises(FormatError, match=r"architectures is \['BertForNoSuchTask'\], expected a model class"):
        bort_convert.load_pretrained(out)


@pytest.mark.mxnet
@pytest.mark.torch
def test_verify_sees_a_changed_bit_in_the_head_and_a_changed_key(two_layers: Own, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = tmp_path / "own.toml"
    table.write_text(two_layers.table.read_text("utf-8") + "[config]\nclassifier_dropout = 0.25\n")
    Own(two_layers.name, two_layers.family, two_layers.source, two_layers.logits, table).convert(out)
    config = json.loads((out / "config.json").read_text("utf-8"))
    (out / "config.json").write_text(json.dumps({**config, "classifier_dropout": 0.5}))
    with open_tensors(out / "model.safetensors") as file:
        offset = file.offsets["classifier.weight"]
    weights = bytearray((out / "model.safetensors").read_bytes())
    weights[offset] ^= 1
    (out / "model.safetensors").write_bytes(weights)
    report = bort_convert.verify(two_layers.source, out)
    details = "\n".join(check.detail for check in report.checks if not check.passed)
    assert "config.json: classifier_dropout is 0.5, expected 0.25" in details
    assert "head.2.weight: 1 of 40 values come back with other bits" in details


@pytest.mark.mxnet
def test_arguments_that_do_not_go_with_a_table_are_refused(two_layers: Own, fixtures: Path, tmp_path: Path) -> None:
    table, out = two_layers.table, tmp_path / "out"
    with pytest.raises(OptionError, match=r"`family='gpt2'`: .* extends bert\. Leave it out"):
        bort_convert.convert(two_layers.source, out, table=table, family="gpt2", heads=2)
    with pytest.raises(FormatError, match="the table cannot be read: No such file"):
        bort_convert.convert(two_layers.source, out, table=tmp_path / "absent.toml")
    fitting = run("inspect", fixtures / "bert_2_2_8_8.params", *FITTING, tmp_path / "x.toml")
    assert fitting.exit_code == 2
    assert "the file needs no table: BERT (language model) takes it" in fitting.stderr
    taken = run("inspect", two_layers.source, "--write-table", table)
    assert taken.exit_code == 4
    assert table.read_text("utf-8") == DRAFT
    strange = run("inspect", fixtures / "cnn_tiny.params", "--write-table", tmp_path / "x.toml")
    assert strange.exit_code == 3
    assert not (tmp_path / "x.toml").exists()


@pytest.mark.mxnet
def test_a_manifest_with_another_table_is_no_manifest(two_layers: Own, tmp_path: Path) -> None:
    out = tmp_path / "out"
    two_layers.convert(out)
    manifest = json.loads((out / "conversion.json").read_text("utf-8"))
    for table in (1, "extends = 1", manifest["options"]["table"].replace("bert", "gpt2")):
        manifest["options"]["table"] = table
        (out / "conversion.json").write_text(json.dumps(manifest))
        for command in (["export", out, tmp_path / "back.params"], ["verify", two_layers.source, out]):
            result = run(*command)
            assert result.exit_code == 3
            assert re.search("conversion.json: is not what a conversion writes", result.stderr)
        assert run("check", out).exit_code == 1
