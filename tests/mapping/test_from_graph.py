"""Hyperparameters by the exported network, and graphs that contradict the file or an argument."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import run
from hostile_graphs import HOSTILE

from bort_convert import convert, export, inspect, open_params, verify
from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError, MappingError, OptionError, VariantError
from bort_convert.mapping.candidates import Candidate, closest_of, compare_with_file, known_tables
from bort_convert.mapping.family import Table, Variant
from bort_convert.mapping.from_graph import layer_of, told_by, variables_of
from bort_convert.mapping.given import Given
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import linear, norm, rename, tied
from bort_convert.models.registry import families
from bort_convert.symbol import Graph, Node, read_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family

    Change = Callable[[list[dict[str, Any]]], None]

BERT, CLASSIFIER, TAGGER = "bert_2_2_8_8", "bert_2_2_8_8-classifier3", "bert_2_2_8_8-tags5"
GPT = "gpt2_2_3_48_12"
CELLS = "bert.encoder.transformer_cells"
TOLD = {"attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}


@pytest.fixture
def symbol(fixtures: Path, tmp_path: Path) -> Callable[[str, Change], Path]:
    """Write a graph with a change of its nodes."""

    def write(name: str, change: Change) -> Path:
        document = json.loads((fixtures / "graphs" / f"{name}-symbol.json").read_text())
        change(document["nodes"])
        (tmp_path / "net-symbol.json").write_text(json.dumps(document))
        return tmp_path / "net-symbol.json"

    return write


def setting(pattern: str, **attrs: str) -> Change:
    """Set attributes of every operator whose name matches."""

    def change(nodes: list[dict[str, Any]]) -> None:
        found = [node for node in nodes if re.search(pattern, node["name"]) and node["op"] != "null"]
        assert found
        for node in found:
            node["attrs"] = {**node.get("attrs", {}), **attrs}

    return change


@pytest.mark.parametrize("naming", ["", "-prefix"])
@pytest.mark.parametrize(("name", "family"), [(CLASSIFIER, "bert"), (TAGGER, "bert"), (GPT, "gpt2")])
def test_heads_activation_and_epsilon_come_from_the_graph(
    name: str, family: str, naming: str, fixtures: Path, tmp_path: Path
) -> None:
    source, graph = fixtures / f"{name}{naming}.params", fixtures / "graphs" / f"{name}-symbol.json"
    with pytest.raises(VariantError, match="attention_heads cannot be read from shapes"):
        convert(source, tmp_path / "out", family=family)  # type: ignore[arg-type] # one of them
    manifest = convert(source, tmp_path / "out", family=family, symbol=graph)  # type: ignore[arg-type] # as above
    expected = TOLD if family == "bert" else {"attention_heads": 3, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}
    assert manifest.options["symbol"]["hyperparameters"] == expected
    assert expected.items() <= manifest.hyperparameters.items()
    assert not expected.keys() & {*manifest.assumed}
    plain = convert(source, tmp_path / "plain", family=family, heads=expected["attention_heads"])  # type: ignore[arg-type]
    assert (tmp_path / "out" / "config.json").read_text() == (tmp_path / "plain" / "config.json").read_text()
    assert manifest.tensors == plain.tensors


def test_the_command_line_says_what_the_graph_told(fixtures: Path, tmp_path: Path) -> None:
    source, graph = fixtures / f"{BERT}.params", fixtures / "graphs" / f"{BERT}-symbol.json"
    line = (
        f"by the exported network {BERT}-symbol.json: attention_heads 2, head_hidden_act gelu, "
        "head_layer_norm_eps 1e-12, hidden_act gelu, layer_norm_eps 1e-12"
    )
    result = run("convert", source, tmp_path / "out", "--family", "bert", "--symbol", graph)
    assert line in result.stdout
    assert "taken for granted" not in result.stdout
    assert line in (tmp_path / "out" / "README.md").read_text()
    export(tmp_path / "out", tmp_path / "back.params")
    with open_params(source) as one, open_params(tmp_path / "back.params") as other:
        assert {name: array.tobytes() for name, array in one.items()} == {
            name: array.tobytes() for name, array in other.items()
        }
    dry = run("convert", source, tmp_path / "none", "--family", "bert", "--symbol", graph, "--dry-run")
    assert "attention_heads 2" in dry.stdout
    found = inspect(source, family="bert", symbol=graph)
    assert found.fit is not None
    assert found.fit.told["head_layer_norm_eps"] == 1e-12


def test_another_epsilon_in_the_head_alone_is_kept_for_the_head(
    fixtures: Path, symbol: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    graph = symbol(BERT, setting("bertmodel0_bertlayernorm0_layernorm0", eps="1e-05"))
    manifest = convert(fixtures / f"{BERT}.params", tmp_path / "out", family="bert", symbol=graph)
    assert manifest.hyperparameters["layer_norm_eps"] == 1e-12
    assert manifest.stock_differences == {"head_layer_norm_eps": 1e-5}


def test_another_epsilon_behind_the_embeddings_is_kept_for_them(
    fixtures: Path, symbol: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    graph = symbol(CLASSIFIER, setting("^bertencoder0_bertlayernorm0_layernorm0", eps="1e-05"))
    manifest = convert(fixtures / f"{CLASSIFIER}.params", tmp_path / "out", family="bert", symbol=graph)
    assert manifest.stock_differences == {"embedding_layer_norm_eps": 1e-5}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"heads": 4}, "it has attention_heads 2, and `heads=4` says 4"),
        (
            {"hyperparameters": {"activation": "relu"}},
            "it has hidden_act gelu, and `hyperparameters={'hidden_act': 'relu'}` says relu",
        ),
        (
            {"hyperparameters": {"layer_norm_eps": 1e-4}},
            "it has layer_norm_eps 1e-12, and `hyperparameters={'layer_norm_eps': 0.0001}` says 0.0001",
        ),
        (
            {"hyperparameters": {"epsilon": 1e-5}},
            "it has layer_norm_eps 1e-12, and `hyperparameters={'layer_norm_eps': 1e-05}` says 1e-05",
        ),
    ],
)
def test_an_argument_that_the_graph_contradicts_is_refused(
    options: dict[str, Any], problem: str, fixtures: Path, tmp_path: Path
) -> None:
    graph = fixtures / "graphs" / f"{CLASSIFIER}-symbol.json"
    with pytest.raises(OptionError) as caught:
        convert(fixtures / f"{CLASSIFIER}.params", tmp_path / "out", family="bert", symbol=graph, **options)
    assert (caught.value.option, caught.value.value) == ("symbol", graph)
    assert caught.value.problem == f"{problem}. Another network was exported, or one is wrong"
    assert not (tmp_path / "out").exists()


def test_the_command_line_shows_the_flag_that_the_graph_contradicts(fixtures: Path, tmp_path: Path) -> None:
    graph = fixtures / "graphs" / f"{CLASSIFIER}-symbol.json"
    words = ("convert", fixtures / f"{CLASSIFIER}.params", tmp_path / "out", "--family", "bert", "--heads", 4)
    result = run(*words, "--symbol", graph)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --symbol {graph}: it has attention_heads 2, and --heads 4 says 4. ")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            setting("transformer1_.*ffn0_bertlayernorm0", eps="1e-05"),
            (
                f"layer_norm_eps is 1e-12 at {CELLS}.0.layer_norm.gamma, 1e-05 at {CELLS}.1.ffn.layer_norm.gamma; no "
                "class of transformers has several"
            ),
        ),
        (
            setting("transformer0_multiheadattentioncell0_reshape[02]$", shape="(0, 0, 4, -1)"),
            (
                f"attention_heads is 4 at {CELLS}.0.attention_cell.proj_query.weight, 2 at "
                f"{CELLS}.1.attention_cell.proj_query.weight; no class of transformers has several"
            ),
        ),
        (
            setting("pooler_tanh_fwd", act_type="relu"),
            (
                "the activation between bert.pooler.weight and classifier.1.weight is relu, and transformers has tanh "
                "there"
            ),
        ),
        (
            setting("transformer0_.*gelu0__mulscalar0$", scalar="0.25"),
            f"the activation behind {CELLS}.0.ffn.ffn_1.weight is none that is known",
        ),
    ],
)
def test_a_graph_that_no_class_computes_is_refused(
    change: Change, problem: str, fixtures: Path, symbol: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    graph = symbol(CLASSIFIER, change)
    with pytest.raises(MappingError) as caught:
        convert(fixtures / f"{CLASSIFIER}.params", tmp_path / "out", family="bert", symbol=graph)
    assert str(caught.value) == f"net-symbol.json: {problem}"


def test_a_graph_of_another_size_or_network_is_refused(
    fixtures: Path, symbol: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    def wider(nodes: list[dict[str, Any]]) -> None:
        (node,) = (node for node in nodes if node["name"] == "bertclassifier0_dense0_bias")
        node["attrs"]["__shape__"] = "(7,)"

    source, target = fixtures / f"{CLASSIFIER}.params", tmp_path / "out"
    with pytest.raises(MappingError) as caught:
        convert(source, target, family="bert", symbol=symbol(CLASSIFIER, wider))
    assert str(caught.value) == (
        "net-symbol.json is not the graph of this checkpoint:\n"
        "  classifier.1.bias: the graph has the shape (7,), the file (3,)"
    )
    with pytest.raises(MappingError) as caught:
        convert(source, target, family="bert", symbol=fixtures / "graphs" / f"{GPT}-symbol.json")
    with open_params(source) as params:
        layers = [name for name in params if name.startswith(CELLS)]
    assert caught.value.disagreements == tuple(f"{name}: the graph has no such parameter" for name in layers)
    with pytest.raises(FormatError, match="is no JSON"):
        convert(source, target, family="bert", symbol=source)
    assert not target.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_a_conversion_in_one_line(name: str, fixtures: Path, tmp_path: Path) -> None:
    graph = tmp_path / "net-symbol.json"
    graph.write_bytes(HOSTILE[name][0].encode("utf-8", "surrogatepass"))
    result = run("convert", fixtures / f"{CLASSIFIER}.params", tmp_path / "out", "--family", "bert", "--symbol", graph)
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_release_that_the_graph_contradicts_is_refused(fixtures: Path, tmp_path: Path) -> None:
    graph = fixtures / "graphs" / f"{BERT}-symbol.json"
    options: dict[str, Any] = {"family": "ernie", "symbol": graph}
    with pytest.raises(OptionError) as caught:
        convert(fixtures / f"{BERT}.params", tmp_path / "out", gluonnlp_version="0.10", **options)
    assert caught.value.problem == (
        "it has head_layer_norm_eps 1e-12, and gluonnlp 0.10 has 1e-05. Another network was exported, or one is wrong"
    )


ROWS = (
    rename("words", "words", "v n", prefixed="~model#_words_weight"),
    tied("decoder.weight", tied_to="words", axes="v n", why="tied"),
    *linear("cells.{layer}.ffn", "h.{layer}.ffn", "n n", prefixed="~cells#_h{layer}_ffn"),
    *norm("norm", "norm", "n"),
    rename("parts.{part}.w", "parts.{part}.w", "n"),
)
OWN = {
    "words": "arg:words", "decoder.weight": "x", "cells.0.ffn.weight": "y", "cells.0.ffn.bias": "z", "norm.gamma": "g",
    "norm.beta": "b",
}  # fmt: skip


def graph_of(*variables: str) -> Graph:
    return Graph((*(Node("null", name) for name in variables), Node("LayerNorm", "norm0_gamma")), (), 10901)


def test_a_variable_is_the_tensor_of_its_name_in_the_file_or_of_its_prefixed_name_or_the_last_one_left() -> None:
    graph = graph_of(
        "data", "words", "model0_words_weight", "net_cells3_h0_ffn_bias", "cells3_h0_ffn_weight", "a_gamma"
    )
    assert variables_of(graph, OWN, ROWS, ["decoder.weight"]) == {
        "words": "words",
        "cells3_h0_ffn_weight": "cells.0.ffn.weight",
        "net_cells3_h0_ffn_bias": "cells.0.ffn.bias",
        "a_gamma": "norm.gamma",
    }


def test_of_two_variables_or_tensors_left_over_none_is_the_other() -> None:
    graph = graph_of("cells3_h7_ffn_weight", "a_weight", "b_beta", "c_beta", "d_bias", "e_gamma", "gamma")
    names = OWN | {"norm2.gamma": "g2"}
    assert variables_of(graph, names, ROWS, []) == {"d_bias": "cells.0.ffn.bias"}


def test_a_tensor_belongs_to_the_layer_that_its_name_has_the_number_of() -> None:
    names = ("cells.12.ffn.bias", "cells.0.ffn.weight", "parts.3.w", "words", "decoder.weight", "cells.0.ffn.x", "x")
    assert [layer_of(ROWS, name) for name in names] == [12, 0, None, None, None, None, None]


@pytest.mark.parametrize("word", ["weight", "bias", "gamma", "beta"])
def test_the_one_variable_left_over_is_the_one_tensor_with_the_same_last_word(word: str) -> None:
    assert variables_of(graph_of(f"a_{word}"), {f"x.{word}": "y"}, (), []) == {f"a_{word}": f"x.{word}"}


def candidate_of(source: Path, family: Family) -> Candidate:
    """The table of a family that a file fits."""
    with open_params(source) as params:
        return closest_of(compare_with_file(params.specs, known_tables([family], Given())))


def test_everything_that_is_known_is_compared_with_what_the_graph_shows(fixtures: Path) -> None:
    candidate = candidate_of(fixtures / f"{BERT}.params", families()["ernie"])
    graph = read_graph(fixtures / "graphs" / f"{BERT}-symbol.json")
    shown = TOLD | {"head_hidden_act": "gelu", "head_layer_norm_eps": 1e-12}
    given: dict[str, Hyperparameter] = {"pad_token_id": 3, "epsilon": 1e-12}
    assert told_by(graph, "net", hyperparameters=given)(candidate) == shown
    published = replace(candidate.family, variants=(Variant("small", {"layers": 2}, {"attention_heads": 8}),))
    known = {
        "`heads=4` says 4": told_by(graph, "net", heads=4, gluonnlp_version="0.10"),
        "small has 8": told_by(graph, "net", heads=2),
    }
    for problem, told in known.items():
        with pytest.raises(OptionError, match=f"^`symbol='net'`: it has attention_heads 2, and {problem}[.] Another"):
            told(replace(candidate, family=published))


@pytest.mark.parametrize("size", [0, -1, None, 3])
def test_a_size_that_a_graph_leaves_open_is_any(
    size: int | None, fixtures: Path, symbol: Callable[[str, Change], Path]
) -> None:
    def opened(nodes: list[dict[str, Any]]) -> None:
        (node,) = (node for node in nodes if node["name"] == "bertclassifier0_dense0_bias")
        node["attrs"]["__shape__"] = f"({size},)"

    told = told_by(read_graph(symbol(CLASSIFIER, opened)), "net")
    assert told(candidate_of(fixtures / f"{CLASSIFIER}.params", families()["bert"])) == TOLD


def test_a_class_without_a_masked_language_model_head_has_no_hyperparameters_of_one(fixtures: Path) -> None:
    candidate = candidate_of(fixtures / f"{BERT}.params", families()["bert"])
    other = replace(candidate.table, architectures=(("BertOfMyOwn", *candidate.plan.groups),))
    told = told_by(read_graph(fixtures / "graphs" / f"{BERT}-symbol.json"), "net")
    assert told(replace(candidate, table=other)) == TOLD


def test_a_norm_that_the_target_has_no_place_for_is_one_of_the_layers(fixtures: Path) -> None:
    candidate = candidate_of(fixtures / f"{CLASSIFIER}.params", families()["bert"])
    steps = tuple(step for step in candidate.plan.steps if "bert.encoder.layer_norm.gamma" not in step.sources)
    told = told_by(read_graph(fixtures / "graphs" / f"{CLASSIFIER}-symbol.json"), "net")
    assert told(replace(candidate, plan=replace(candidate.plan, steps=steps))) == TOLD


def test_a_graph_tells_no_size_that_the_shapes_have(fixtures: Path) -> None:
    candidate = candidate_of(fixtures / f"{BERT}.params", families()["bert"])
    told = told_by(read_graph(fixtures / "graphs" / f"{BERT}-symbol.json"), "net")
    shown = told(replace(candidate, plan=replace(candidate.plan, dims={**candidate.plan.dims, "attention_heads": 2})))
    assert {**shown, "attention_heads": 2} == told(candidate)
    with pytest.raises(OptionError, match=r"it has attention_heads 2, and the shapes have 4\. Another"):
        told(replace(candidate, plan=replace(candidate.plan, dims={**candidate.plan.dims, "attention_heads": 4})))


def test_only_an_activation_between_two_tensors_of_the_checkpoint_counts(fixtures: Path) -> None:
    bert = candidate_of(fixtures / f"{BERT}.params", families()["bert"])
    one, two = "cells.0.one.weight", "cells.0.two.weight"
    rows = tuple(rename(f"cells.{{layer}}.{name}.weight", f"h.{{layer}}.{name}", "n n") for name in ("one", "two"))
    plan = make_plan(rows, {name: TensorSpec(name, "float32", (4, 4)) for name in (one, two)})
    table = Table("model", rows, (("Model",),))
    candidate = Candidate(bert.family, table, {name: name for name in (one, two)}, plan)

    def dense(name: str, *inputs: int) -> Node:
        return Node("FullyConnected", name, tuple((number, 0) for number in inputs), {"num_hidden": "4"})

    def relu(name: str, number: int) -> Node:
        return Node("Activation", name, ((number, 0),), {"act_type": "relu"})

    variables = tuple(Node("null", name) for name in ("data", one, two, "foreign"))
    network = (dense("a", 0, 1), dense("b", 4, 2), dense("c", 0, 3), relu("d", 6), dense("e", 7, 2), relu("f", 4))
    weightless = (dense("h", 0), relu("i", 11), dense("j", 12, 2))
    graph = Graph((*variables, *network, dense("g", 9, 2), *weightless), ((10, 0),), 10901)
    assert told_by(graph, "net")(candidate) == {"hidden_act": "relu"}


def test_heads_are_told_only_where_the_width_of_the_model_is_known(fixtures: Path) -> None:
    candidate = candidate_of(fixtures / f"{BERT}.params", families()["bert"])
    told = told_by(read_graph(fixtures / "graphs" / f"{BERT}-symbol.json"), "net")
    dims = {name: size for name, size in candidate.plan.dims.items() if name != "hidden_size"}
    shown = told(replace(candidate, plan=replace(candidate.plan, dims=dims)))
    assert {**shown, "attention_heads": 2} == told(candidate)
    assert "attention_heads" not in shown


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_network_with_the_exact_gelu_is_converted_and_proved_by_its_graph(fixtures: Path, tmp_path: Path) -> None:
    source, graph = fixtures / f"{GPT}.params", fixtures / "graphs" / f"{GPT}-exact-symbol.json"
    manifest = convert(source, tmp_path / "out", symbol=graph, verify=True)
    assert manifest.hyperparameters["hidden_act"] == "gelu"
    assert manifest.parity["checks"]
    convert(source, tmp_path / "assumed", heads=3)
    report = verify(source, tmp_path / "assumed", symbol=graph)
    assert report.headline.startswith("FAIL layer 0: ")
    assert verify(source, tmp_path / "out", symbol=graph)
