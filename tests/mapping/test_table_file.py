"""Tables of one's own: what they say, and every mistake in them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from headers import RELEASED, header_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bort_convert.errors import MappingError, TableError
from bort_convert.mapping.backbone import backbone_rows
from bort_convert.mapping.family import ConfigKey
from bort_convert.mapping.fit import fit
from bort_convert.mapping.rows import (
    constant,
    drop,
    extra,
    fill,
    ignore,
    linear,
    merge,
    norm,
    pad,
    rename,
    split,
    tied,
    transpose,
    under,
)
from bort_convert.mapping.table_file import MAX_BYTES, MAX_ROWS, OwnTable, read_table, tomllib
from bort_convert.mapping.table_words import WORDS, rows_of
from bort_convert.models import bert, electra, gpt2, roberta, xlnet
from bort_convert.models._bert_forms import BACKBONE
from bort_convert.models.registry import families

TAGGER = """
extends = "bert"
backbone = "bert_model."
class = "BertForTokenClassification"
labels = ["O", "B"]
rows = [
  {linear = "tag_classifier", to = "classifier", axes = "labels hidden_size", prefixed = "~tagger#_dense#"},
]

[config]
classifier_dropout = 0.1
hidden_dropout_prob = 0.2
layers_to_use = [1, 2]
"""


BERT_MODEL = 'extends = "bert"\nclass = "BertModel"\n'


def read(text: str) -> OwnTable:
    return read_table(text.encode(), families(), "own.toml")


def mistakes_in(text: str) -> list[str]:
    with pytest.raises(TableError) as caught:
        read(text)
    count = len(caught.value.disagreements)
    summary = f"`table='own.toml'`: has {count} mistake{'s' * (count > 1)}:"
    assert str(caught.value).splitlines() == [summary, *(f"  {line}" for line in caught.value.disagreements)]
    return list(caught.value.disagreements)


def with_rows(*rows: str, extends: str = "bert", architecture: str = "BertForTokenClassification") -> str:
    lines = "".join(f"  {{{row}}},\n" for row in rows)
    array = f"rows = [\n{lines}]\n" if rows else "\n"
    return f'extends = "{extends}"\nclass = "{architecture}"\n{array}'


def test_a_table_is_the_family_with_the_rows_of_its_backbone_and_of_the_head() -> None:
    own = read(TAGGER)
    head = linear("tag_classifier", "classifier", "labels hidden_size", prefixed="~tagger#_dense#")
    table = replace(
        bert.FAMILY.tables[0],
        title="own table",
        all_rows=(*under("bert_model.", BACKBONE), *head),
        architectures=(("BertForTokenClassification",),),
        backbone="bert_model.",
        own=frozenset({"tag_classifier.weight", "tag_classifier.bias"}),
        labels=("O", "B"),
    )
    kept = [key for key in bert.FAMILY.config if key.name != "hidden_dropout_prob"]
    settings_ = {"classifier_dropout": 0.1, "hidden_dropout_prob": 0.2, "layers_to_use": [1, 2]}
    config = (*kept, *(ConfigKey(key, constant=value) for key, value in settings_.items()))
    assert own == OwnTable(replace(bert.FAMILY, tables=(table,), config=config), TAGGER)


def test_the_text_is_kept_without_a_mark_and_with_plain_line_ends() -> None:
    content = b"\xef\xbb\xbf" + TAGGER.replace("\n", "\r\n").encode()
    assert read_table(content, families(), "own.toml") == read(TAGGER)


def test_every_word_makes_the_rows_of_its_function() -> None:
    rows = {
        'linear = "a", to = "b", axes = "x y"': linear("a", "b", "x y"),
        'conv1d = "a", to = "b", axes = "x y"': (
            replace(linear("a", "b", "x y")[0], op=WORDS["transpose"]("a", "b", "x y").op),  # type: ignore[union-attr]
            linear("a", "b", "x y")[1],
        ),
        'norm = "a", to = "b", axes = "x"': norm("a", "b", "x"),
        'rename = "a", to = "b", axes = ""': (rename("a", "b", ""),),
        'transpose = "a", to = "b", axes = "x y"': (transpose("a", "b", "x y"),),
        'split = "a", to = ["b", "c"], axes = "2*x y"': (split("a", ["b", "c"], "2*x y"),),
        'merge = ["a", "b"], to = "c", axes = "x"': (merge(["a", "b"], "c", "x"),),
        'pad = "a", to = "b", axes = "x", rows = 2, after = "pad_token_id", why = "so"': (
            pad("a", "b", "x", rows=2, after="pad_token_id", why="so"),
        ),
        'fill = "a", axes = "2 hidden_size", value = -0.5': (
            fill("a", "2 hidden_size", -0.5, why="the table says so"),
        ),
        'constant = "a", axes = "hidden_size", value = 1': (constant("a", "hidden_size", 1, why="the table says so"),),
        'tied = "a", tied_to = "word_embed.0.weight", axes = "x y", why = "so"': (
            tied("a", tied_to="word_embed.0.weight", axes="x y", why="so"),
        ),
        'drop = "a", axes = "x"': (drop("a", "x", why="the table says so"),),
        'extra = "a", axes = ""': (extra("a", ""),),
        'ignore = "a", axes = "x"': (ignore("a", "x"),),
    }
    for row, made in rows.items():
        (table,) = read(with_rows(row)).family.tables
        assert table.all_rows[len(BACKBONE) :] == made, row
    unfold = 'unfold = "a", to = "b", axes = "x y", into = "attention_heads head_dim", first = true'
    (table,) = read(with_rows(unfold, extends="xlnet", architecture="XLNetForTokenClassification")).family.tables
    assert table.all_rows[-1] == WORDS["unfold"]("a", "b", "x y", "attention_heads head_dim", first=True)
    tried = {row.partition(" ")[0] for row in (*rows, unfold)}
    assert tried == WORDS.keys()


def test_sections_do_for_rows_too() -> None:
    text = 'extends = "bert"\nclass = "BertModel"\n[[rows]]\ndrop = "a"\naxes = "x"\n[[rows]]\ndrop = "a"\naxes = "x"\n'
    assert mistakes_in(text) == ["line 6: takes a a second time, after line 3"]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("bert", BACKBONE),
        ("roberta", roberta.BACKBONE),
        ("gpt2", gpt2.LANGUAGE_MODEL),
        ("xlnet", tuple(row for row in xlnet.FAMILY.tables[0].all_rows if not row.group)),
    ],
)
def test_the_backbone_is_what_a_family_requires_below_its_head(name: str, rows: object) -> None:
    family = families()[name]
    assert backbone_rows(family, family.tables[0]) == rows


def test_every_form_of_every_family_has_a_backbone_with_an_embedding() -> None:
    for family in families().values():
        for form in family.tables:
            rows = backbone_rows(family, form)
            sizes = {axis for row in rows for source in row.sources for axis in source.axes.split()}
            assert {"vocab_size", "hidden_size"} <= sizes
            assert not any(source.name.startswith(f"{family.source_name}.") for row in rows for source in row.sources)
            assert all(target.startswith(family.base) for row in rows for target in row.targets)


def test_optional_groups_and_another_form_are_taken_by_their_titles() -> None:
    text = 'extends = "bert"\nclass = "BertForPreTraining"\nbackbone = "net.0"\nwith = ["pooler", "next-sentence head"]'
    rows = read(text).family.tables[0].all_rows
    names = {source.name for row in rows for source in row.sources}
    assert {"net.0.pooler.weight", "net.0.classifier.bias", "net.0.word_embed.0.weight"} <= names
    assert not any(name.startswith("net.0.decoder") for name in names)
    assert not any(row.group for row in rows)
    title = "a title" + " of eighty letters".ljust(73, "!")
    text = f'extends = "xlnet"\nclass = "XLNetModel"\nform = "language model, no mask"\ntitle = "{title}"'
    (table,) = read(text).family.tables
    form = xlnet.FAMILY.tables[1]
    assert (table.all_rows, table.title) == (backbone_rows(xlnet.FAMILY, form), title)
    assert table.all_rows != backbone_rows(xlnet.FAMILY, xlnet.FAMILY.tables[0])


def test_a_form_that_no_class_computes_is_none_any_more_and_its_sizes_are_equal_unless_the_group_is_taken() -> None:
    text = 'extends = "electra"\nclass = "ElectraForTokenClassification"\nform = "classifier"'
    projection = "embedding projection"
    form = next(table for table in electra.FAMILY.tables if table.title == "classifier")
    sizes = ("embedding_size", "hidden_size")
    assert (form.refusal != "", form.equal_unless) == (True, {projection: sizes})
    (table,) = read(text).family.tables
    assert (table.refusal, table.equal_unless) == ("", {projection: sizes})
    (table,) = read(f'{text}\nwith = ["{projection}"]').family.tables
    assert (table.refusal, table.equal_unless) == ("", {})


CLASSES = "expected a class of transformers whose name begins with "
GROUPS = ("pooler", "next-sentence head", "masked-language-model head")
KEYS = "extends, class, rows, backbone, form, with, title, labels, config"
BROKEN = """extends = "bert"
backbone = "bert_model."
class = "RobertaForTokenClassification"
with = ["poler"]
colour = "red"
rows = [
  {lineer = "tag_classifier", to = "classifier", axes = "labels hidden_size"},
  {linear = "head.0", to = "dense"},
  {extra_ = 1, linear = "head.1", to = "out", axes = "labels hidden_size"},
  {rename = "a", to = "b", axes = "x"},
  {rename = "a", to = "c", axes = "x"},
  {rename = "d", to = "b", axes = "x"},
]
"""


def test_all_mistakes_come_at_once_each_with_its_line() -> None:
    known = ", ".join(WORDS)
    assert mistakes_in(BROKEN) == [
        f"line 3: class is 'RobertaForTokenClassification', {CLASSES}Bert, such as BertForTokenClassification",
        f"line 4: 'language model' has no optional group 'poler'; expected one of {', '.join(GROUPS)}",
        f"line 5: unknown key 'colour'; expected one of {KEYS}",
        f"line 7: unknown word 'lineer'; expected one of {known}",
        '''line 8: `linear` needs axes: the sizes of the tensor by name, such as "labels hidden_size"''',
        "line 9: `linear` has no 'extra_'; expected to, axes, prefixed",
        "line 11: takes a a second time, after line 10",
        "line 12: makes b a second time, after line 10",
    ]


AXES = 'sizes by name, such as "labels hidden_size", "3*hidden_size", "max_positions+2" or "5"'
PREFIXED = "expected a name with Gluon's prefixes, such as tagger#_dense#; # is a counter, ~ a class"
NAME = "a name with dots between its parts, one of which may be a placeholder such as {layer}"


@pytest.mark.parametrize(
    ("row", "key", "mistake"),
    [
        ("", "", f"the row has no word; expected one of {', '.join(WORDS)}"),
        ('axes = "x"', "", f"the row has no word; expected one of {', '.join(WORDS)}"),
        ('axes = "x", lineer = 1', "lineer", f"unknown word 'lineer'; expected one of {', '.join(WORDS)}"),
        ('linear = "a", norm = "b"', "norm", "a row has one word, and this one has linear and norm"),
        (
            'drop = "a", axes = "x", extra_ = 1',
            "extra_",
            "`drop` has no 'extra_'; expected axes, why, prefixed",
        ),
        ('axes = "x", rename = "a"', "", "`rename` needs to: the tensor of the target model"),
        (
            'rename = 1, to = "b", axes = "x"',
            "rename",
            "rename is 1, expected the name of a tensor, at most 256 characters",
        ),
        ('rename = "a b", to = "b", axes = "x"', "rename", f"rename is 'a b', expected {NAME}"),
        ('rename = ".a", to = "b", axes = "x"', "rename", f"rename is '.a', expected {NAME}"),
        ('rename = "a..b", to = "b", axes = "x"', "rename", f"rename is 'a..b', expected {NAME}"),
        ('rename = "a{layer}.b", to = "b", axes = "x"', "rename", f"rename is 'a{{layer}}.b', expected {NAME}"),
        ('rename = "{a}.{b}", to = "b", axes = "x"', "rename", f"rename is '{{a}}.{{b}}', expected {NAME}"),
        (
            'rename = "{layer.__class__}", to = "b", axes = "x"',
            "rename",
            f"rename is '{{layer.__class__}}', expected {NAME}",
        ),
        (
            'rename = "a", to = ["b"], axes = "x"',
            "to",
            "to is ['b'], expected the name of a tensor, at most 256 characters",
        ),
        (
            f'rename = "a", to = "{"b" * 257}", axes = "x"',
            "to",
            f"to is '{'b' * 79}... (259 characters), expected the name of a tensor, at most 256 characters",
        ),
        (
            'split = "a", to = ["b"], axes = "x"',
            "to",
            """to is ['b'], expected a list of 2 to 64 names, ["one", "other"]""",
        ),
        ('split = "a", to = ["b", "c"], axes = "x"', "", "axis 'x' does not divide into 2 equal parts"),
        ('split = "a", to = ["b", "c"], axes = ""', "axes", "axes are '', expected one or more for `split`"),
        ('rename = "a", to = "b", axes = 1', "axes", f"axes is 1, expected {AXES}"),
        ('rename = "a", to = "b", axes = "0*x"', "axes", f"axes is '0*x', expected {AXES}"),
        ('rename = "a", to = "b", axes = "x/0"', "axes", f"axes is 'x/0', expected {AXES}"),
        ('rename = "a", to = "b", axes = "X"', "axes", f"axes is 'X', expected {AXES}"),
        (
            f'rename = "a", to = "b", axes = "{"x" * 257}"',
            "axes",
            f"axes is '{'x' * 79}... (259 characters), expected {AXES}",
        ),
        ('rename = "a", to = "b", axes = "x\u00a0y"', "axes", f"axes is 'x\\xa0y', expected {AXES}"),
        ('linear = "a", to = "b", axes = "x"', "axes", "axes are 'x', expected two for `linear`: (out, in)"),
        ('fill = "a", axes = "x", value = 1', "", "no tensor of the table shows the size 'x'"),
        ('fill = "a", axes = "1", value = nan', "value", "value is nan, expected a number from -65,504 to 65,504"),
        ('fill = "a", axes = "1", value = true', "value", "value is True, expected a number from -65,504 to 65,504"),
        (
            'pad = "a", to = "b", axes = "x", rows = 0',
            "rows",
            "rows is 0, expected a whole number from 1 to 4,096",
        ),
        *(
            (
                f'unfold = "a", to = "b", axes = "x y", into = "{into}"',
                "into",
                f"""into is '{into}', expected two axes, such as "attention_heads head_dim\"""",
            )
            for into in ("x", "X y")
        ),
        (
            'unfold = "a", to = "b", axes = "x y", into = "x y", first = 1',
            "first",
            "first is 1, expected true or false",
        ),
        (
            'drop = "a", axes = "x", why = ""',
            "why",
            "why is '', expected a text of 1 to 256 characters that can be printed",
        ),
        (
            'pad = "a", to = "b", axes = "x", rows = 1, after = "hidden_act"',
            "after",
            "BERT has no number 'hidden_act'; expected one of pad_token_id",
        ),
        (
            'tied = "a", axes = "x", tied_to = "b"',
            "tied_to",
            "tied_to is b; expected a tensor without a placeholder that another row takes",
        ),
        (
            'tied = "a.{layer}", axes = "x", tied_to = "word_embed.0.weight"',
            "",
            "an alias has no placeholder",
        ),
        (
            'rename = "a.{block}", to = "b", axes = "x"',
            "",
            "the names of a row have one placeholder, all of them or none; found none and {block}",
        ),
        (
            'fill = "a.{block}", axes = "1", value = 0',
            "",
            "no tensor of the checkpoint has the placeholder {block}",
        ),
        (
            'linear = "a.{label}", to = "b.{label}", axes = "labels hidden_size"',
            "",
            "{label} would count labels, which is the name of an axis",
        ),
        (
            'rename = "a", to = "b", axes = "x", prefixed = "a{block}"',
            "",
            "prefixed has the placeholder {block}, which the name of the tensor has not",
        ),
        *(
            ('rename = "a", to = "b", axes = "x", prefixed = ' + text, "prefixed", f"prefixed is {found}, {PREFIXED}")
            for text, found in {
                **{f'"{text}"': f"'{text}'" for text in ("(", "a[b", "~~~~a", "a##", "{last}{last}", "")},
                "1": "1",
                f'"{"a" * 257}"': f"'{'a' * 79}... (259 characters)",
            }.items()
        ),
        (
            'rename = "word_embed.0.weight", to = "b", axes = "x"',
            "",
            "takes word_embed.0.weight, and so does the backbone of BERT",
        ),
        *(
            (
                f'drop = "encoder.transformer_cells.{number}.proj.bias", axes = "x"',
                "",
                f"takes encoder.transformer_cells.{number}.proj.bias, and so does the backbone of BERT",
            )
            for number in ("3", "{layer}")
        ),
        (
            'fill = "bert.embeddings.LayerNorm.bias", axes = "1", value = 0',
            "",
            "makes bert.embeddings.LayerNorm.bias, and so does the backbone of BERT",
        ),
    ],
)
def test_each_mistake_in_a_row_is_named_with_its_line(row: str, key: str, mistake: str) -> None:
    assert mistakes_in(with_rows(row)) == [f"line 4: {mistake}"]
    document = tomllib.loads(f"row = {{{row}}}")["row"]
    keys = [f"{name} = {toml_text(value)}\n" for name, value in document.items()]
    line = 5 + list(document).index(key) if key else 4
    made, found = rows_of(document)
    assert found in ([], [(key, mistake)])
    assert bool(made) == (not found)
    assert mistakes_in(with_rows() + "[[rows]]\n" + "".join(keys)) == [f"line {line}: {mistake}"]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["extends is missing: the name of a family", "class is missing: the target class in transformers"]),
        (
            'extends = "brt"\nclass = "A"',
            [f"line 1: there is no family 'brt'; expected one of {', '.join(families())}"],
        ),
        (
            'extends = ""\nclass = "BertModel"\ntitle = ""',
            [
                f"line 1: there is no family ''; expected one of {', '.join(families())}",
                "line 3: title is '', expected a text of at most 80 characters",
            ],
        ),
        ("extends = 1\nclass = 2", ["line 1: extends is 1, expected a text of at most 80 characters"]),
        (
            'extends = "gpt2"\nclass = "BertModel"',
            [f"line 2: class is 'BertModel', {CLASSES}GPT2, such as GPT2ForTokenClassification"],
        ),
        (
            BERT_MODEL + 'rows = [{rename = "a", to = "head", axes = "x"}]',
            ["line 2: BertModel is the backbone alone and has no place for head"],
        ),
        (
            BERT_MODEL + 'backbone = "{layer}."\nform = "x"\ntitle = "classifier"',
            [
                """line 3: backbone is '{layer}.', expected an attribute path such as "bert_model.\"""",
                "line 4: BERT has no form 'x'; expected one of "
                + ", ".join(table.title for table in bert.FAMILY.tables),
                "line 5: title is 'classifier', which BERT has; expected another",
            ],
        ),
        *(
            (
                f'{BERT_MODEL}backbone = "{path}"\nrows = [{{ignore = "word_embed.0.weight", axes = "x"}}]',
                [
                    f"""line 3: backbone is '{path}', expected an attribute path such as "bert_model.\"""",
                    "line 4: takes word_embed.0.weight, and so does the backbone of BERT",
                ],
            )
            for path in (".", "a..", "a b")
        ),
        (
            'extends = "gpt2"\nclass = "GPT2Model"\nwith = ["pooler"]',
            ["line 3: 'language model' has no optional group 'pooler'; it has none"],
        ),
        (
            BERT_MODEL + 'labels = ["a"]',
            ["line 3: labels name the outputs, and no row has an axis `labels`"],
        ),
        (
            BERT_MODEL + 'labels = ["a"]\nrows = [{drop = "a"}]',
            ["""line 4: `drop` needs axes: the sizes of the tensor by name, such as "labels hidden_size\""""],
        ),
        (
            with_rows(
                'pad = "a", to = "b", axes = "x", rows = 1, after = "x"', extends="roberta", architecture="RobertaNet"
            ),
            ["line 4: RoBERTa has no number 'x'; expected one of bos_token_id, pad_token_id, eos_token_id"],
        ),
        (
            BERT_MODEL + 'labels = ["a"]\nwith = "pooler"',
            [
                "line 3: labels name the outputs, and no row has an axis `labels`",
                "line 4: with is 'pooler', expected a list of texts",
            ],
        ),
        (
            BERT_MODEL + 'rows = "a"\nconfig = 1',
            [
                "line 3: rows is 'a', expected a list of at most 1,000 rows {WORD = ...}",
                "line 4: config is 1, expected keys of config.json with their values",
            ],
        ),
    ],
)
def test_each_mistake_at_the_top_is_named(text: str, mistakes: list[str]) -> None:
    assert mistakes_in(text) == mistakes


PLAIN = "expected a text, a number, true, false or a list of these"
DERIVED = "follows from the checkpoint and the options; leave it out"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('auto_map = "x"', "'auto_map' makes transformers run more than the class; a table cannot set it"),
        ("vocab_size = 1", f"'vocab_size' {DERIVED}"),
        ("is_decoder = true", f"'is_decoder' {DERIVED}"),
        ("_path = 1", "'_path' is no key of a config: expected small letters, digits and underscores"),
        ("a = {b = 1}", f"'a' is {{'b': 1}}, {PLAIN}"),
        ("a = inf", f"'a' is inf, {PLAIN}"),
        ("a = [[]]", f"'a' is [[]], {PLAIN}"),
        ("a = [nan]", f"'a' is [nan], {PLAIN}"),
        (f"a = {[0] * (MAX_ROWS + 1)}", f"'a' is {str([0] * 27)[:-1]}... (3,003 characters), {PLAIN}"),
        (f"a = '{'b' * (MAX_ROWS + 1)}'", f"'a' is '{'b' * 79}... (1,003 characters), {PLAIN}"),
        ("a = '\u00a0'", f"'a' is '\\xa0', {PLAIN}"),
        (f"a = {1 << 63}", f"'a' is 9223372036854775808, {PLAIN}"),
        (f"a = -{(1 << 63) + 1}", f"'a' is -9223372036854775809, {PLAIN}"),
        (f"a = {(1 << 64) - 1}", f"'a' is 18446744073709551615, {PLAIN}"),
        (f"a = {1 << 64}", f"'a' is a number of 65 bits, {PLAIN}"),
        ("a = 2020-01-01", f"'a' is datetime.date(2020, 1, 1), {PLAIN}"),
        (f"a = 0x{'F' * 9000}", f"'a' is a number of 36,000 bits, {PLAIN}"),
    ],
)
def test_a_config_key_that_is_not_the_tables_own_is_refused(setting: str, problem: str) -> None:
    text = f"{BERT_MODEL}[config]\nown = 1\n{setting}"
    assert mistakes_in(text) == [f"line 5: config: {problem}"]


def test_a_key_of_the_config_takes_every_value_up_to_its_bound() -> None:
    values = {"a": [0] * MAX_ROWS, "b": "b" * MAX_ROWS, "c": -(1 << 63), "d": (1 << 63) - 1, "e": 1.5, "f": False}
    config = "".join(f"{key} = {toml_text(value)}\n" for key, value in values.items())
    own = read(f"{BERT_MODEL}[config]\n{config}")
    assert {key.name: key.constant for key in own.family.config[-len(values) :]} == values


def test_a_row_takes_every_value_up_to_its_bound() -> None:
    names = ["n" * 252 + f".{number:03}" for number in range(64)]
    own = read(
        with_rows(
            f'split = "s", to = {names}, axes = "{"64*x y y".ljust(255)}z"',
            'fill = "f", axes = "1", value = 65504',
            'fill = "g", axes = "1", value = -65504',
            'pad = "p", to = "q", axes = "x", rows = 4096',
            f'rename = "r", to = "t", axes = "x", prefixed = "{"~" * 3}{"a" * 253}"',
            'rename = "u.{block}", to = "v.{block}", axes = "x", prefixed = "A{block}_{last}"',
            f'drop = "d", axes = "s", why = "{"w" * 256}"',
        )
    )
    assert own.family.tables[0].all_rows[len(BACKBONE) :] == (
        split("s", names, "64*x y y".ljust(255) + "z"),
        fill("f", "1", 65504, why="the table says so"),
        fill("g", "1", -65504, why="the table says so"),
        pad("p", "q", "x", rows=4096, why="the table says so"),
        rename("r", "t", "x", prefixed="~~~" + "a" * 253),
        rename("u.{block}", "v.{block}", "x", prefixed="A{block}_{last}"),
        drop("d", "s", why="w" * 256),
    )


def test_a_file_is_bounded() -> None:
    assert read(TAGGER + "#" * (MAX_BYTES - len(TAGGER))).family == read(TAGGER).family
    (problem,) = mistakes_in("#" * (MAX_BYTES + 1))
    assert problem == "it has 262,145 bytes, expected at most 262,144"
    rows = [f'drop = "a{number}", axes = "x"' for number in range(MAX_ROWS + 1)]
    assert len(read(with_rows(*rows[1:])).family.tables[0].all_rows) == len(BACKBONE) + MAX_ROWS
    (problem,) = mistakes_in(with_rows(*rows))
    shown = "[{'drop': 'a0', 'axes': 'x'}, {'drop': 'a1', 'axes': 'x'}, {'drop': 'a2', 'axes':"
    assert problem.startswith(f"line 3: rows is {shown[:80]}... (")
    assert problem.endswith("characters), expected a list of at most 1,000 rows {WORD = ...}")
    (problem,) = mistakes_in("x = " + "[" * 50_000)
    assert problem.startswith("it is no TOML: ")


def test_what_is_no_text_or_no_toml_is_told_in_a_few_words() -> None:
    with pytest.raises(TableError) as caught:
        read_table(b"a\xff", families(), "own.toml")
    problem = "it is no UTF-8 text: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"
    assert caught.value.disagreements == (problem,)
    (problem,) = mistakes_in(f"[{'a' * 300}]\n" * 2)
    start = f"it is no TOML: Cannot declare ('{'a' * 300}"
    assert problem[: len(start)][:215] == start[:215]
    assert problem[215:].startswith("... (3")


def test_an_error_can_be_pickled() -> None:
    with pytest.raises(TableError) as caught:
        read("")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(again), again.disagreements) == (str(caught.value), caught.value.disagreements)


def is_table_or_clean_error(content: bytes) -> None:
    try:
        own = read_table(content, families(), "own.toml")
    except TableError as error:
        assert error.disagreements  # noqa: PT017 - either outcome is right
        assert all(line.isprintable() for line in str(error).split("\n"))  # noqa: PT017
        assert max(map(len, str(error).split("\n"))) < 600  # noqa: PT017
    else:
        assert own.family.tables[0].rows


@given(st.binary(max_size=200))
@example(b"\xff")
@example(b"a = " + b"1" * 5000)
@example(b"a = " + b"[" * 5000)
@example(b'\xef\xbb\xbfextends = "bert"\r\nclass = "BertModel"\r\n')
@example(BERT_MODEL.encode() + b"rows = [[]]")
@example(BERT_MODEL.encode() + b"rows = [{}]")
def test_any_bytes_are_a_table_or_one_clean_error(content: bytes) -> None:
    is_table_or_clean_error(content)


WORD_EMBEDDING = "word_embed.0.weight"
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.text(st.sampled_from("ab.{}layer_ *+/0123#~[]"), max_size=12),
    st.sampled_from(
        ["bert", "gpt2", "pooler", "BertModel", "labels hidden_size", "x", "a.{layer}", "word_embed.0.weight"]
    ),
    st.integers(-5, 70_000),
    st.floats(),
    st.booleans(),
)
ITEMS = st.one_of(LEAVES, st.lists(LEAVES, max_size=3))
ROWS = st.dictionaries(
    st.sampled_from([*WORDS, "to", "axes", "prefixed", "why", "value", "rows", "into", "tied_to", "after", "x"]), ITEMS
)


def toml_text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return '"' + value + '"'
    return str(value).lower()


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["extends", "class", "backbone", "form", "with", "title", "labels", "z"]), ITEMS),
    st.lists(ROWS, max_size=4),
    st.dictionaries(st.sampled_from(["a", "vocab_size", "auto_map", "B"]), ITEMS),
    st.booleans(),
)
def test_any_document_is_a_table_or_one_clean_error(
    top: dict[str, object],
    rows: list[dict[str, object]],
    config: dict[str, object],
    right: bool,  # noqa: FBT001 - Hypothesis gives it
) -> None:
    start = {"extends": "bert", "class": "BertForTokenClassification"} if right else {}
    document = {**top, **start, "rows": rows, "config": config}
    text = "".join(f"{key} = {toml_text(value)}\n" for key, value in document.items())
    is_table_or_clean_error(text.encode())


@pytest.mark.parametrize(
    "row",
    [
        'fill = "big", axes = "hidden_size 10000000", value = 0',
        'pad = "small", to = "big", axes = "hidden_size 200000", rows = 4096',
    ],
)
def test_a_table_makes_no_more_from_nothing_than_memory_can_take(row: str) -> None:
    family = read(with_rows(row)).family
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "layers": 12, "type_vocab_size": 2}
    header = header_of(family.tables[0].rows, RELEASED | sizes)
    with pytest.raises(
        MappingError, match=r"^big: the table makes [0-9,]+ values from nothing, most of them here; exp"
    ):
        fit(header, [family], heads=12)
