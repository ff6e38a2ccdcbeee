"""Drafts of a table, to the letter; each converts as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from headers import Header, header_of
from toy_family import TOY

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, printable
from bort_convert.mapping.backbone import backbone_rows
from bort_convert.mapping.family import Table
from bort_convert.mapping.fit import fit
from bort_convert.mapping.rows import linear, norm, rename, under
from bort_convert.mapping.selection import Selection
from bort_convert.mapping.source_names import prefixed_names
from bort_convert.mapping.table_draft import draft_table
from bort_convert.mapping.table_file import MAX_ROWS, read_table
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from bort_convert.dtypes import Shape
    from bort_convert.mapping.family import Family

DIMS = {
    "vocab_size": 11,
    "hidden_size": 6,
    "embedding_size": 6,
    "intermediate_size": 4,
    "decoder_intermediate_size": 4,
    "max_positions": 5,
    "max_target_positions": 5,
    "type_vocab_size": 2,
    "layers": 1,
    "decoder_layers": 1,
    "attention_heads": 2,
    "head_dim": 3,
}
CONVERTS = "# It converts as it is; what begins with DECIDE is yours to decide."
ALONE = "# DECIDE: a class with a place for the head, where transformers has one; this is the backbone alone."
AROUND = "  # DECIDE: the class computes what is around these layers: which tokens they read, and the activation."
KEPT = "  # DECIDE: kept beside the model as it is; another word makes a tensor a part of the class."


def backbone(family: str, prefix: str = "", *groups: str, form: int = 0, **dims: int) -> Header:
    """The tensors of a family's backbone, by their attribute paths."""
    known = families()[family]
    rows = backbone_rows(known, known.tables[form], frozenset(groups))
    return header_of(under(prefix, rows), DIMS | dims)


def in_scope(scope: str, header: Header, family: str) -> Header:
    """The same tensors by Gluon's prefixes."""
    written = prefixed_names(header, families()[family].tables[0].all_rows, family)
    return {scope + written[name]: spec for name, spec in header.items()}


def beside(shapes: dict[str, Shape]) -> Header:
    return {name: TensorSpec(name, "float32", shape) for name, shape in shapes.items()}


def dense(name: str, out: int, size: int, separator: str = ".") -> Header:
    return beside({f"{name}{separator}weight": (out, size), f"{name}{separator}bias": (out,)})


def draft(specs: Header, tried: list[Family], prefix: str | None = None, name: str = "own.params") -> list[str]:
    """The lines of a draft, which converts all that a row can name."""
    text = draft_table(specs, tried, name, prefix)
    own = read_table(text.encode(), {family.name: family for family in tried}, "own.toml")
    named = {name: spec for name, spec in specs.items() if f"# A row cannot take {printable(name, 100)} " not in text}
    assert fit(named, [own.family], heads=2).architecture in text
    assert text.endswith("\n")
    return text.splitlines()


def labels(count: int) -> str:
    return ", ".join(f'"LABEL_{number}"' for number in range(count))


DRAFTS = {
    "one layer, and two families with this backbone": (
        backbone("bert", "bert_model.") | dense("tag.0", 3, 6),
        ["bert", "roberta", "ernie"],
        [
            "# A draft for own.params: BERT under bert_model., and 2 other tensors beside it.",
            CONVERTS,
            "# DECIDE: the same tensors may be those of ernie; draft anew for one.",
            'extends = "bert"',
            'backbone = "bert_model."',
            'class = "BertForTokenClassification"',
            "rows = [",
            AROUND,
            "  # A dense layer of 6 to 3.",
            '  {linear = "tag.0", to = "classifier", axes = "labels hidden_size"},',
            "]",
            "# DECIDE: the names of the 3 outputs, in their order.",
            '# labels = ["LABEL_0", "LABEL_1", "LABEL_2"]',
        ],
    ),
    "two layers, and names with prefixes": (
        in_scope("Net0_", backbone("bert", hidden_size=1200), "bert")
        | dense("Net0_dense0", 1200, 1200, "_")
        | dense("Net0_dense1", 1101, 1200, "_")
        | dense("Net0-gate", 5, 1200, "_")
        | beside({"Net0_inweight": (5, 1200), "Net0_inbias": (5,), "Net0_crf": (1101, 1101)})
        | beside({"a name": (2, 3), "~": (), "n" * 99 + " n": (1,)})
        | {"none": None},
        ["bert"],
        [
            "# A draft for own.params: BERT under Net0_, and 13 other tensors beside it.",
            CONVERTS,
            'extends = "bert"',
            'class = "BertForSequenceClassification"',
            "rows = [",
            AROUND,
            "  # A dense layer of 1,200 to 1,200.",
            (
                '  {rename = "Net0_dense0_weight", to = "bert.pooler.dense.weight", axes = "hidden_size hidden_size",'
                ' prefixed = "Net0_dense0_weight"},'
            ),
            (
                '  {rename = "Net0_dense0_bias", to = "bert.pooler.dense.bias", axes = "hidden_size",'
                ' prefixed = "Net0_dense0_bias"},'
            ),
            "  # A dense layer of 1,200 to 1,101.",
            (
                '  {rename = "Net0_dense1_weight", to = "classifier.weight", axes = "labels hidden_size",'
                ' prefixed = "Net0_dense1_weight"},'
            ),
            '  {rename = "Net0_dense1_bias", to = "classifier.bias", axes = "labels", prefixed = "Net0_dense1_bias"},',
            KEPT,
            '  {extra = "Net0_inweight", axes = "5 hidden_size", prefixed = "Net0_inweight"},  # (5, 1200)',
            '  {extra = "Net0_inbias", axes = "5", prefixed = "Net0_inbias"},  # (5)',
            '  {extra = "Net0_crf", axes = "labels labels", prefixed = "Net0_crf"},  # (1101, 1101)',
            "  # A row cannot take Net0-gate_weight (5, 1200): ignore it, or keep what is left over.",
            "  # A row cannot take Net0-gate_bias (5): ignore it, or keep what is left over.",
            "  # A row cannot take a name (2, 3): ignore it, or keep what is left over.",
            "  # A row cannot take ~ (): ignore it, or keep what is left over.",
            f"  # A row cannot take {'n' * 99} ... (101 characters) (1): ignore it, or keep what is left over.",
            "  # A row cannot take none (no value): ignore it, or keep what is left over.",
            "]",
            "# DECIDE: the names of the 1,101 outputs, in their order.",
            f"# labels = [{labels(100)}]",
        ],
    ),
    "no head, another form, and names of export": (
        {f"arg:{name}": spec for name, spec in backbone("xlnet", form=1).items()}
        | beside({"{step}.a": (1,), "aux:scale": (6, 5), "aux:one.two": (), "aux:Ä.b": (3,), "Ä": (1,)}),
        ["xlnet", "gpt2"],
        [
            "# A draft for own.params: XLNet at the top, and 5 other tensors beside it.",
            CONVERTS,
            'extends = "xlnet"',
            'form = "language model, no mask"',
            ALONE,
            'class = "XLNetModel"',
            "rows = [",
            KEPT,
            '  {extra = "scale", axes = "hidden_size 5", prefixed = "scale"},  # (6, 5)',
            '  {extra = "one.two", axes = ""},  # ()',
            '  {extra = "Ä.b", axes = "3"},  # (3)',
            "  # A row cannot take {step}.a (1): ignore it, or keep what is left over.",
            "  # A row cannot take Ä (1): ignore it, or keep what is left over.",
            "]",
        ],
    ),
    "nothing beside": (
        backbone("gpt2"),
        ["gpt2"],
        [
            "# A draft for own.params: GPT-2 at the top, and 0 other tensors beside it.",
            CONVERTS,
            'extends = "gpt2"',
            'class = "GPT2Model"',
            "rows = [",
            "]",
        ],
    ),
    "optional groups that no class has together, and a class that has the pooler": (
        backbone("bert", "a.b.", "pooler", "masked-language-model head") | dense("regression", 1, 6),
        ["bert"],
        [
            "# A draft for own.params: BERT under a.b., and 2 other tensors beside it.",
            CONVERTS,
            'extends = "bert"',
            'backbone = "a.b."',
            'with = ["pooler", "masked-language-model head"]',
            'class = "BertForSequenceClassification"',
            "rows = [",
            AROUND,
            "  # A dense layer of 6 to 1.",
            '  {linear = "regression", to = "classifier", axes = "labels hidden_size"},',
            "]",
        ],
    ),
    "two classes, and parameters that are no block's own": (
        backbone("roberta-1.0", "net.") | dense("tag.weight_out", 2, 6, "_"),
        ["roberta-1.0"],
        [
            "# A draft for own.params: GluonNLP 1.0's RoBERTa under net., and 2 other tensors beside it.",
            CONVERTS,
            'extends = "roberta-1.0"',
            'backbone = "net."',
            "# DECIDE: these layers fit RobertaForQuestionAnswering (qa_outputs) too.",
            'class = "RobertaForTokenClassification"',
            "rows = [",
            AROUND,
            "  # A dense layer of 6 to 2.",
            '  {rename = "tag.weight_out_weight", to = "classifier.weight", axes = "labels hidden_size"},',
            '  {rename = "tag.weight_out_bias", to = "classifier.bias", axes = "labels"},',
            "]",
            "# DECIDE: the names of the 2 outputs, in their order.",
            '# labels = ["LABEL_0", "LABEL_1"]',
        ],
    ),
    "a head of a family's own": (
        backbone("electra", "net.") | dense("one.weights", 6, 6) | dense("two", 1, 6),
        ["electra"],
        [
            "# A draft for own.params: ELECTRA under net., and 4 other tensors beside it.",
            CONVERTS,
            'extends = "electra"',
            'backbone = "net."',
            'class = "ElectraForPreTraining"',
            "rows = [",
            AROUND,
            "  # A dense layer of 6 to 6.",
            '  {linear = "one.weights", to = "discriminator_predictions.dense", axes = "hidden_size hidden_size"},',
            "  # A dense layer of 6 to 1.",
            '  {linear = "two", to = "discriminator_predictions.dense_prediction", axes = "1 hidden_size"},',
            "]",
        ],
    ),
    "two stacks, on which no class has a head": (
        backbone("bart", "net.") | dense("tag", 3, 6),
        ["bart"],
        [
            "# A draft for own.params: BART under net., and 2 other tensors beside it.",
            CONVERTS,
            'extends = "bart"',
            'backbone = "net."',
            ALONE,
            'class = "BartModel"',
            "rows = [",
            KEPT,
            '  {extra = "tag.weight", axes = "3 hidden_size"},  # (3, 6)',
            '  {extra = "tag.bias", axes = "3"},  # (3)',
            "]",
        ],
    ),
}


@pytest.mark.parametrize(("specs", "names", "lines"), DRAFTS.values(), ids=DRAFTS)
def test_a_draft_says_what_is_there_and_what_is_to_be_decided(
    specs: Header, names: list[str], lines: list[str]
) -> None:
    assert draft(specs, [families()[name] for name in names]) == lines


TOY_ROWS = tuple(row for row in backbone_rows(TOY, TOY.tables[0]) if not row.tied_to)


def toy(prefix: str, layers: int) -> Header:
    return header_of(under(prefix, TOY_ROWS), DIMS | {"layers": layers})


TWO_PLACES = toy("one.", 1) | toy("two.", 2)
ROWS_OF_ONE = [
    '  {extra = "one.embed", axes = "11 hidden_size"},  # (11, 6)',
    '  {extra = "one.positions", axes = "5 hidden_size"},  # (5, 6)',
    '  {extra = "one.cell.0.qkv", axes = "18 hidden_size"},  # (18, 6)',
    '  {extra = "one.cell.0.a", axes = "hidden_size"},  # (6)',
    '  {extra = "one.cell.0.b", axes = "hidden_size"},  # (6)',
    '  {extra = "one.cell.0.ffn", axes = "4 hidden_size"},  # (4, 6)',
]


def test_a_draft_has_as_many_rows_as_a_table_may_have() -> None:
    many = beside({f"step.{number}" + "n" * (number // 10): (2,) for number in range(MAX_ROWS + 1)})
    specs = backbone("bert", "net.") | dense("net.tag", 3, 6) | many
    bert = families()["bert"]
    text = draft_table(specs, [bert], "own.params")
    assert text.count("{extra = ") == MAX_ROWS - 2
    assert (
        f"  # A table takes 1,000 rows; without one are 3 from step.998{'n' * 92}... (107 characters) on: ignore them, "
        "or keep what is left over.\n]\n"
    ) in text
    own = read_table(text.encode(), {"bert": bert}, "own.toml")
    found = fit(specs, [own.family], heads=2, selection=Selection(keep_extra=True))
    assert found.extra == tuple(many)


def test_one_is_counted_in_the_singular() -> None:
    alone = toy("one.", 1)
    first, *_ = draft(alone | beside({"x": (1,)}), [TOY])
    assert first == "# A draft for own.params: Toy under one., and 1 other tensor beside it."
    _, second, *_ = draft(TWO_PLACES | toy("three.", 1), [TOY])
    assert second == "# 2 more stand in the file: rows below, as any other tensor."


def test_of_several_places_the_largest_is_the_backbone_or_the_one_that_is_asked_for() -> None:
    start = [
        "# A draft for a\\nname: Toy under two., and 6 other tensors beside it.",
        "# 1 more stands in the file: rows below, as any other tensor.",
        CONVERTS,
        "# DECIDE: the same tensors may be those of a or b; draft anew for one.",
        'extends = "toy"',
        'backbone = "two."',
        ALONE,
        'class = "ToyModel"',
        "rows = [",
        KEPT,
    ]
    alike = [TOY, replace(TOY, name="a"), replace(TOY, name="b")]
    assert draft(TWO_PLACES, alike, name="a\nname") == [*start, *ROWS_OF_ONE, "]"]
    lines = draft(TWO_PLACES, [TOY], prefix="one.")
    assert lines[:2] == ["# A draft for own.params: Toy under one., and 10 other tensors beside it.", CONVERTS]


@pytest.mark.parametrize(
    ("specs", "prefix", "message"),
    [
        ({}, None, "no family's backbone stands in the file: a table extends one that does"),
        (toy("one.", 1), "two.", "no family's backbone stands in the file: a table extends one that does"),
        (
            toy("one.", 1) | beside({"one.positions": (5, 7), "crf": (2, 2)}),
            None,
            (
                "no family fits this file; the closest is toy (model) under `one.`, with 1 disagreement and 1 other "
                "tensors:\n  positions (one.positions in the file): found shape (5, 7); axis 'hidden_size' is 7, "
                "expected 6 (hidden_size=6 from embed)"
            ),
        ),
    ],
)
def test_a_draft_needs_a_backbone(specs: Header, prefix: str | None, message: str) -> None:
    with pytest.raises(MappingError) as caught:
        draft_table(specs, [TOY], "own.params", prefix)
    assert str(caught.value) == message


SQUARE, OUTPUTS = "hidden_size hidden_size", "labels hidden_size"
HEADS = {
    "ToyRefused": (),
    "ToyTagger": linear("a", "tagger", OUTPUTS),
    "ToyPooled": (*linear("a", "toy.pooler.dense", SQUARE), *linear("b", "pooled", OUTPUTS)),
    "ToyPairs": (*linear("a", "pairs.one", SQUARE), *linear("b", "pairs.two", OUTPUTS)),
    "ToyOther": (*linear("a", "other.one", SQUARE), *linear("b", "other.two", OUTPUTS)),
    "ToyScaled": (*linear("a", "scaled", OUTPUTS), rename("b", "scale", "labels")),
    "ToyNormed": (*linear("a", "normed.one", SQUARE), *norm("b", "normed.two", "hidden_size")),
    "ToyDoubled": linear("a", "doubled", "2*labels hidden_size"),
    "ToyMoved": linear("a", "moved", "labels+1 hidden_size"),
    "ToyProduct": linear("a", "product", "labels*hidden_size hidden_size"),
    "ToyTriple": (*linear("a", "x", SQUARE), *linear("b", "y", SQUARE), *linear("c", "z", "2*hidden_size 2")),
}
TOY_WITH_HEADS = replace(
    TOY,
    tables=tuple(
        Table(
            architecture,
            (*TOY_ROWS, *(head or linear("a", "refused", OUTPUTS))),
            ((architecture,),) if head else (),
            refusal="" if head else "no class computes it",
        )
        for architecture, head in HEADS.items()
    ),
)


@pytest.mark.parametrize(
    ("layers", "architecture", "others"),
    [
        ([(3, 6)], "ToyTagger", "ToyForTokenClassification (classifier)"),
        (
            [(6, 6), (3, 6)],
            "ToyPairs",
            "ToyOther (other.one, other.two) or ToyForSequenceClassification (toy.pooler.dense, classifier)",
        ),
        ([(6, 6), (6, 6), (12, 2)], "ToyTriple", ""),
        ([(6, 6), (6, 6), (12, 3)], "ToyModel", ""),
        ([(6, 6), (5, 6), (12, 2)], "ToyModel", ""),
        ([(3, 5)], "ToyModel", ""),
    ],
)
def test_layers_become_a_head_that_has_as_many_of_their_sizes(
    layers: list[tuple[int, int]], architecture: str, others: str
) -> None:
    specs = toy("", 1)
    for number, sizes in enumerate(layers):
        specs |= dense(f"layer{number}", *sizes)
    lines = draft(specs, [TOY_WITH_HEADS])
    assert f'class = "{architecture}"' in lines
    decisions = [line for line in lines if line.startswith("# DECIDE: these layers fit")]
    assert decisions == ([f"# DECIDE: these layers fit {others} too."] if others else [])
