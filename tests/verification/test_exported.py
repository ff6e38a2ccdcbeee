"""Exported networks as the reference: their parameters, inputs and outputs, and what MXNet computes with them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import run
from conversion_errors import BERT, ERRORS, GPT2, HEADS, Mutant
from converted_dir import Converted
from hostile_graphs import HOSTILE, NOT_RUN
from mutants import MARGIN, Bench

from bort_convert import convert, record, verify
from bort_convert.errors import BackendError, FormatError, MappingError, OptionError
from bort_convert.model_dir.read import read_model_dir
from bort_convert.models.registry import fit_source
from bort_convert.params import open_params, save_params
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.exported import ExportedNetwork, exported_network
from bort_convert.verification.findings import BEHAVIOUR
from bort_convert.verification.inputs import inputs_for
from bort_convert.verification.reference import LiveReference, run_reference
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.mapping.fit import Fit

CLASSIFIER, TAGGER, GPT = "bert_2_2_8_8-classifier3", "bert_2_2_8_8-tags5", "gpt2_2_3_48_12"
FAMILIES = {CLASSIFIER: ("bert", 2), TAGGER: ("bert", 2), "bert_2_2_8_8": ("bert", 2), GPT: ("gpt2", 3)}


def fit_of(path: Path, name: str) -> Fit:
    family, heads = FAMILIES[name]
    with open_params(path) as params:
        return fit_source(params.specs, family=family, heads=heads)


def changed(source: Path, target: Path, change: Callable[[list[dict[str, Any]], dict[str, Any]], None]) -> Path:
    """Write a graph with a change of its nodes."""
    document = json.loads(source.read_text())
    change(document["nodes"], document)
    target.write_text(json.dumps(document))
    return target


@pytest.fixture
def graphs(fixtures: Path) -> Path:
    return fixtures / "graphs"


@pytest.fixture
def classifier(fixtures: Path) -> Callable[[Path], ExportedNetwork]:
    """Read a graph as that of the classifier."""
    fit = fit_of(fixtures / f"{CLASSIFIER}.params", CLASSIFIER)
    return lambda path: exported_network(path, fit)


@pytest.mark.parametrize("naming", ["", "-prefix"])
def test_inputs_and_outputs_are_found_by_the_parameters_that_nodes_take(
    naming: str, fixtures: Path, graphs: Path
) -> None:
    fit = fit_of(fixtures / f"{CLASSIFIER}{naming}.params", CLASSIFIER)
    network = exported_network(graphs / f"{CLASSIFIER}-symbol.json", fit)
    assert network.inputs == {"data0": "input_ids", "data1": "token_types", "data2": "valid_length"}
    nodes = network.graph.nodes
    assert {name: (nodes[number].op, output) for name, (number, output) in network.places.items()} == {
        "embeddings": ("LayerNorm", 0),
        "layer.0": ("LayerNorm", 0),
        "layer.1": ("LayerNorm", 0),
        "pooled": ("Activation", 0),
        "logits": ("FullyConnected", 0),
    }
    gammas = [nodes[nodes[network.places[name][0]].inputs[1][0]].name for name in ("embeddings", "layer.0", "layer.1")]
    assert gammas == [
        "bertencoder0_bertlayernorm0_gamma",
        *(f"bertencoder0_transformer{layer}_bertpositionwiseffn0_bertlayernorm0_gamma" for layer in range(2)),
    ]
    assert set(network.parameters.values()) == set(fit.names)
    assert network.notes == ()


def test_every_output_of_a_language_model_is_found(fixtures: Path, graphs: Path) -> None:
    fit = fit_of(fixtures / "bert_2_2_8_8.params", "bert_2_2_8_8")
    network = exported_network(graphs / "bert_2_2_8_8-symbol.json", fit)
    assert network.inputs["data3"] == "masked_positions"
    outputs = ["embeddings", "layer.0", "layer.1", "mlm_logits", "pooled", "next_sentence"]
    assert sorted(network.places) == sorted(outputs)
    assert network.notes == ()


def test_layers_that_begin_with_a_norm_end_where_the_next_one_begins(fixtures: Path, graphs: Path) -> None:
    fit = fit_of(fixtures / f"{GPT}.params", GPT)
    network = exported_network(graphs / f"{GPT}-symbol.json", fit)
    assert network.inputs == {"data": "input_ids"}
    assert [network.graph.nodes[number].op for number, _ in network.places.values()] == [
        *("elemwise_add", "elemwise_add", "elemwise_add", "LayerNorm", "FullyConnected")
    ]
    assert list(network.places) == ["embeddings", "layer.0", "layer.1", "final_norm", "lm_logits"]
    assert network.notes == (
        f"outputs of {GPT}-symbol.json that GPT2LMHeadModel has not, and that were not compared: 1, 2, 3, 4",
    )


def test_layers_that_a_graph_does_not_show_are_named(
    graphs: Path, classifier: Callable[[Path], ExportedNetwork], tmp_path: Path
) -> None:
    def spelled_out(nodes: list[dict[str, Any]], _document: dict[str, Any]) -> None:
        last = max(number for number, node in enumerate(nodes) if node["op"] == "LayerNorm")
        nodes[last] |= {"op": "broadcast_mul", "inputs": nodes[last]["inputs"][:2], "attrs": {}}

    def squashed(nodes: list[dict[str, Any]], document: dict[str, Any]) -> None:
        nodes.append({"op": "softmax", "name": "softmax0", "inputs": [[len(nodes) - 1, 0, 0]]})
        document["heads"] = [[len(nodes) - 1, 0, 0]]

    path = graphs / f"{CLASSIFIER}-symbol.json"
    network = classifier(changed(path, tmp_path / "net.json", spelled_out))
    assert list(network.places) == ["embeddings", "layer.0", "pooled", "logits"]
    assert network.notes == ("net.json does not show layer 1 by its LayerNorm: not compared",)
    assert classifier(changed(path, tmp_path / "net.json", squashed)).notes == (
        "output 0 of net.json is softmax of logits, which was compared in front of it",
    )


def test_a_graph_that_computes_more_than_the_class_is_refused(
    graphs: Path, classifier: Callable[[Path], ExportedNetwork], tmp_path: Path
) -> None:
    def doubled(nodes: list[dict[str, Any]], document: dict[str, Any]) -> None:
        nodes.append({"op": "_mul_scalar", "name": "m", "attrs": {"scalar": "2"}, "inputs": [[len(nodes) - 1, 0, 0]]})
        document["heads"] = [[len(nodes) - 1, 0, 0]]

    def added(nodes: list[dict[str, Any]], document: dict[str, Any]) -> None:
        last = len(nodes) - 1
        nodes.append({"op": "elemwise_add", "name": "a", "inputs": [[last, 0, 0], [last, 0, 0]]})
        document["heads"] = [[last + 1, 0, 0]]

    path = graphs / f"{CLASSIFIER}-symbol.json"
    for change, found in ((doubled, "_mul_scalar of logits"), (added, "elemwise_add of other values")):
        with pytest.raises(MappingError, match=f"first output is {found}, expected an output of BertForSequence"):
            classifier(changed(path, tmp_path / "net.json", change))


def test_a_variable_that_nothing_explains_is_asked_for(
    fixtures: Path, graphs: Path, classifier: Callable[[Path], ExportedNetwork], tmp_path: Path
) -> None:
    def shifted(nodes: list[dict[str, Any]], document: dict[str, Any]) -> None:
        document["heads"] = [[len(nodes), 0, 0]]
        types = next(node for node in nodes if node["name"] == "bertmodel0_token_type_embed_embedding0_fwd")
        nodes.insert(0, {"op": "null", "name": "mystery", "inputs": []})
        for node in nodes[1:]:
            node["inputs"] = [[source + 1, output, 0] for source, output, *_ in node["inputs"]]
        types["op"], types["attrs"] = "take", {}
        types["inputs"] = [types["inputs"][1], [0, 0, 0]]

    path = changed(graphs / f"{CLASSIFIER}-symbol.json", tmp_path / "net.json", shifted)
    with pytest.raises(MappingError) as caught:
        classifier(path)
    assert [line.partition(":")[0] for line in caught.value.disagreements] == ["mystery"]
    assert "symbol_inputs={'mystery': 'ids|types|valid_length|masked_positions'}" in caught.value.disagreements[0]
    fit = fit_of(fixtures / f"{CLASSIFIER}.params", CLASSIFIER)
    assert exported_network(path, fit, {"mystery": "types"}).inputs["mystery"] == "token_types"
    with pytest.raises(MappingError, match="mystery, data0 are all input_ids; expected one of them"):
        exported_network(path, fit, {"mystery": "ids"})
    for wrong, problem in (
        ({"data9": "ids"}, "net.json has no input 'data9'; expected one of mystery, data0, data2"),
        ({"data0": "segments"}, "'segments' is no input; expected one of ids, types, valid_length, masked_positions"),
    ):
        with pytest.raises(OptionError, match=problem):
            exported_network(path, fit, wrong)


def test_the_graph_of_another_network_is_refused(fixtures: Path, graphs: Path) -> None:
    fit = fit_of(fixtures / f"{CLASSIFIER}.params", CLASSIFIER)
    with pytest.raises(MappingError, match=r"gpt2_2_3_48_12-symbol\.json is not the graph of .* gives pooled, logits"):
        exported_network(graphs / f"{GPT}-symbol.json", fit)


def test_a_head_of_an_unknown_class_is_found_as_what_is_left_over(fixtures: Path, graphs: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text((graphs / f"{TAGGER}-symbol.json").read_text().replace("berttagger0_", "mine3_"))
    network = exported_network(path, fit_of(fixtures / f"{TAGGER}.params", TAGGER))
    assert network.parameters["mine3_dense0_weight"] == "tag_classifier.weight"
    assert list(network.places)[-1] == "tag_logits"


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_backbone_is_proved_by_the_network_around_it(fixtures: Path, graphs: Path, tmp_path: Path) -> None:
    source, symbol = tmp_path / "net.params", tmp_path / "net-symbol.json"
    with open_params(fixtures / f"{TAGGER}.params") as params:
        save_params(source, {name.replace("tag_classifier.", "mine.crf_"): array for name, array in params.items()})
    graph = (graphs / f"{TAGGER}-symbol.json").read_text()
    symbol.write_text(graph.replace("berttagger0_dense0_", "mine0_crf_"))
    convert(source, tmp_path / "out", family="bert", heads=2, ignore=["mine.*"])
    report = verify(source, tmp_path / "out", symbol=symbol)
    assert report, report.headline
    assert [layer.name for layer in report.layers] == ["embeddings", "layer.0", "layer.1"]
    assert report.notes[1] == (
        "output 0 of net-symbol.json was not compared: it needs mine0_crf_weight, mine0_crf_bias, which the model "
        "has not"
    )


@pytest.mark.parametrize("name", [*HOSTILE, *NOT_RUN])
def test_a_hostile_file_ends_verify_in_one_line(name: str, fixtures: Path, tmp_path: Path) -> None:
    text, _ = {**HOSTILE, **NOT_RUN}[name]
    symbol = tmp_path / "net-symbol.json"
    symbol.write_bytes(text.encode("utf-8", "surrogatepass"))
    convert(fixtures / f"{CLASSIFIER}.params", tmp_path / "out", heads=2, family="bert", checksums=False)
    result = run("verify", fixtures / f"{CLASSIFIER}.params", tmp_path / "out", "--symbol", symbol)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("name", FAMILIES)
def test_an_exported_network_proves_its_conversion(name: str, fixtures: Path, graphs: Path, tmp_path: Path) -> None:
    family, heads = FAMILIES[name]
    source, symbol = fixtures / f"{name}.params", graphs / f"{name}-symbol.json"
    convert(source, tmp_path / "out", family=family, heads=heads)
    report = verify(source, tmp_path / "out", symbol=symbol, gradients=True)
    assert report, report.headline
    exact = next(layers for layers in report.runs if layers.dtype == "float64")
    assert {layer.name for layer in exact.layers} >= {"embeddings", "layer.0", "layer.1"}
    assert max(layer.max_abs for layer in exact.layers) < 1e-12
    assert [layers.dtype for layers in report.gradients] == ["float32", "float64"]
    assert report.notes[0].startswith(f"the reference is the exported network {symbol.name} (SHA-256 ")
    assert "gluonnlp" not in report.versions
    assert not [note for note in report.notes if "gluonnlp" in note]


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_recorded_network_proves_a_conversion_elsewhere(fixtures: Path, graphs: Path, tmp_path: Path) -> None:
    source, symbol = fixtures / f"{GPT}.params", graphs / f"{GPT}-symbol.json"
    convert(source, tmp_path / "out", family="gpt2", heads=3)
    result = run("record", source, tmp_path / "ref", "--family", "gpt2", "--heads", 3, "--symbol", symbol, "-q")
    assert result.exit_code == 0, result.stderr
    assert load_trace(tmp_path / "ref").provenance["graph"] == symbol.name
    report = verify(tmp_path / "ref", tmp_path / "out")
    assert report, report.headline
    assert any(note.startswith(f"the reference is the exported network {symbol.name}") for note in report.notes)
    with pytest.raises(OptionError, match=r"`symbol=.*a recorded trace has its outputs already"):
        verify(tmp_path / "ref", tmp_path / "out", symbol=symbol)


class GraphBench(Bench):
    """A converted fixture, and the outputs of its exported network."""

    def __init__(self, folder: Path, source: Path) -> None:
        super().__init__(folder, source)
        graph = source.parent / "graphs" / f"{source.stem}-symbol.json"
        self.reference = replace(self.reference, network=exported_network(graph, self.reference.fit))
        self.trace = self.run(0)


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.long
@pytest.mark.parametrize("source", [BERT, GPT2], ids=lambda source: source.stem)
def test_each_error_in_a_conversion_is_caught_by_the_exported_network(source: Path, tmp_path: Path) -> None:
    bench = GraphBench(tmp_path, source)
    assert bench.trace.provenance["graph"] == f"{source.stem}-symbol.json"
    assert HEADS[source] == FAMILIES[source.stem][1]
    assert not bench.check(bench.clean, bench.trace).caught_by
    errors: list[Mutant] = list(ERRORS[source]())
    assert len(errors) > 15
    for mutant in errors:
        outcome = bench.try_out(mutant)
        assert outcome.caught_by >= mutant.caught_by, mutant.name
        if BEHAVIOUR in mutant.caught_by:
            assert outcome.margin >= MARGIN, mutant.name


def _errors(to: Converted) -> dict[str, Callable[[], object]]:
    """Errors in the conversion of a fine-tuned BERT: its head, a layer, a hyperparameter."""
    layer, weight, bias = "bert.encoder.layer.0", to.tensors["classifier.weight"], to.tensors["classifier.bias"]
    query = to.tensors[f"{layer}.attention.self.query.weight"]
    return {
        "outputs exchanged": lambda: to.tensors.update({"classifier.weight": weight[::-1].copy()}),
        "bias of the head zeroed": lambda: to.tensors.update({"classifier.bias": bias * 0}),
        "query transposed": lambda: to.tensors.update({f"{layer}.attention.self.query.weight": query.T.copy()}),
        "proj and ffn_2 exchanged": lambda: to.swap(
            f"{layer}.attention.output.dense.weight", f"{layer}.output.dense.weight"
        ),
        "one gamma and beta exchanged": lambda: to.swap(
            f"{layer}.output.LayerNorm.weight", f"{layer}.output.LayerNorm.bias"
        ),
        "4 attention heads": lambda: to.set_hyperparameter("attention_heads", 4, "num_attention_heads"),
        "epsilon": lambda: to.set_hyperparameter("layer_norm_eps", 1e-5),
        "activation": lambda: to.set_hyperparameter("hidden_act", "gelu_new"),
    }


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("name", [CLASSIFIER, TAGGER])
def test_each_error_in_a_fine_tuned_model_is_caught_by_its_exported_network(
    name: str, fixtures: Path, graphs: Path, tmp_path: Path
) -> None:
    source, fit = fixtures / f"{name}.params", fit_of(fixtures / f"{name}.params", name)
    convert(source, tmp_path / "out", family="bert", heads=2)
    network = exported_network(graphs / f"{name}-symbol.json", fit)
    trace = run_reference(LiveReference(source, fit, network=network), inputs_for(fit))
    for error in ("", *_errors(Converted(tmp_path / "out"))):
        shutil.copytree(tmp_path / "out", tmp_path / "mutant", dirs_exist_ok=True)
        mutant = Converted(tmp_path / "mutant")
        if error:
            _errors(mutant)[error]()
        mutant.write()
        result = check_behaviour(trace, read_model_dir(mutant.folder), ("float64",), limits=Limits())
        assert result.check.passed is not bool(error), error


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_graph_that_does_not_run_on_the_inputs_ends_in_one_line(fixtures: Path, graphs: Path, tmp_path: Path) -> None:
    def for_one_text(nodes: list[dict[str, Any]], _document: dict[str, Any]) -> None:
        (node,) = (node for node in nodes if node["name"] == "bertmodel0_reshape0")
        node["attrs"]["shape"] = "(1, 8)"

    source = fixtures / f"{CLASSIFIER}.params"
    symbol = changed(graphs / f"{CLASSIFIER}-symbol.json", tmp_path / "net.json", for_one_text)
    convert(source, tmp_path / "out", family="bert", heads=2)
    with pytest.raises(
        BackendError, match=r"the exported network does not run on inputs of 4x12 in float(32|64): "
    ) as caught:
        verify(source, tmp_path / "out", symbol=symbol)
    assert "\n" not in str(caught.value)
    assert verify(source, tmp_path / "out", symbol=symbol, batch=1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"symbol_inputs": {"data0": "ids"}}, "names inputs of an exported network; pass `symbol=...` too"),
        ({"symbol": "fixtures", "attentions": True}, "an exported network does not show them"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], problem: str, fixtures: Path, tmp_path: Path
) -> None:
    source = fixtures / f"{CLASSIFIER}.params"
    convert(source, tmp_path / "out", family="bert", heads=2, checksums=False)
    if "symbol" in options:
        options = {**options, "symbol": fixtures / "graphs" / f"{CLASSIFIER}-symbol.json"}
    with pytest.raises(OptionError, match=problem):
        verify(source, tmp_path / "out", **options)
    with pytest.raises(OptionError, match=problem):
        record(source, tmp_path / "ref", family="bert", heads=2, **options)
    assert not (tmp_path / "ref").exists()


@pytest.mark.mxnet
def test_a_graph_is_not_opened_unless_it_is_named(fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / "net-0000.params"
    source.write_bytes((fixtures / f"{CLASSIFIER}.params").read_bytes())
    (tmp_path / "net-symbol.json").write_text("no graph")
    trace = record(source, tmp_path / "ref", family="bert", heads=2)
    assert "graph" not in trace.provenance
    with pytest.raises(FormatError, match=r"net-symbol\.json: is no JSON"):
        record(source, tmp_path / "other", family="bert", heads=2, symbol=tmp_path / "net-symbol.json")
