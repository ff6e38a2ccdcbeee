"""The text of a config of GluonNLP 1.0: what is read of it, and what is refused with its line."""

from __future__ import annotations

import pytest

from bort_convert.errors import FormatError
from bort_convert.mapping.original_config import OriginalConfig, parse_config

TEXT = """\
INITIALIZER:
  bias:
  - zeros
  embed:
  - truncnorm
  - 0
  - 0.02
MODEL:
  activation: gelu(tanh)
  dtype: float32
  layer_norm_eps: 1.0e-12
  num_heads: 4
  num_layers: 3
VERSION: 1
"""
VALUES = """\
MODEL:
  activation: 'gelu(erf)'
  layer_norm_eps: .5
  num_heads: +4
  num_groups: -1
  vocab_size: 5.E+1

  num_stacked_ffn: 4
  layout: []
  dtype: ''
  generator_units_scale: 0.25
  generator_layers_scale: 1
  tie_weights: true
  scale_embed: null
  classifier_activation: false
  ENCODER:
    num_layers: 2
    num_heads: 8
    recurrent: false
    GLU:
      pre_norm: true
  DECODER:
    num_layers: 5
    num_heads: 8
"""


def test_the_text_of_a_config_is_read() -> None:
    values = {"attention_heads": 4, "layers": 3, "hidden_act": "gelu_new", "layer_norm_eps": 1e-12}
    assert repr(parse_config("model.yml", TEXT)) == repr(OriginalConfig("model.yml", values))


def test_a_value_is_a_number_a_truth_value_null_or_a_word() -> None:
    values = {
        "vocab_size": 50.0,
        "attention_heads": 8,
        "groups": -1,
        "hidden_act": "gelu",
        "layer_norm_eps": 0.5,
        "layers": 2,
        "decoder_layers": 5,
        "ffns": 3,
    }
    scales = {"generator_units_scale": 0.25, "generator_layers_scale": 1.0}
    foreign = ("scale_embed is None, expected False: no table is for such a model",)
    read = parse_config("model.yml", VALUES)
    assert repr(read) == repr(OriginalConfig("model.yml", values, scales, foreign))  # 4 is not 4.0
    unknown = parse_config("model.yml", TEXT.replace("gelu(tanh)", "mish"))
    assert unknown.values["hidden_act"] == "mish"


@pytest.mark.parametrize(
    ("lines", "foreign"),
    [
        (
            "pos_embed_type: sinusoidal",
            "pos_embed_type is 'sinusoidal', expected 'learned': no table is for such a model",
        ),
        ("tie_weights: false", "tie_weights is False, expected True: no table is for such a model"),
        (
            "ENCODER:\n    num_heads: 4\n  DECODER:\n    num_heads: 2",
            "encoder and decoder have different numbers of attention heads: no table is for such a model",
        ),
        (
            "DECODER:\n    num_heads: 2",
            "encoder and decoder have different numbers of attention heads: no table is for such a model",
        ),
        ("ENCODER:\n    num_heads: 4", None),
    ],
)
def test_a_value_that_no_table_is_for_is_told(lines: str, foreign: str | None) -> None:
    assert parse_config("model.yml", f"MODEL:\n  {lines}\n").foreign == ((foreign,) if foreign else ())


def test_what_a_checkpoint_contradicts_is_a_problem() -> None:
    config = OriginalConfig("model.yml", {"layers": 3, "groups": 1, "hidden_act": "gelu"}, foreign=("a line",))
    assert config.problems({"layers": 2, "hidden_act": "gelu", "vocab_size": 5}) == [
        "a line",
        "layers is 3, and 2 in the file or by what was given",
    ]


def test_a_generator_has_fractions_of_the_sizes() -> None:
    values = {"hidden_size": 96, "attention_heads": 16, "layers": 3, "vocab_size": 50}
    scales = {"generator_units_scale": 0.25, "generator_layers_scale": 2.0}
    config = OriginalConfig("model.yml", values, scales, ("a line",))
    scaled = values | {"hidden_size": 24, "attention_heads": 4, "layers": 6}
    assert repr(config.of_generator()) == repr(OriginalConfig("model.yml", scaled, {}, ("a line",)))
    whole = OriginalConfig("model.yml", values)
    assert whole.of_generator() == whole


@pytest.mark.parametrize(
    ("old", "new", "line", "found"),
    [
        ("num_heads: 4", "num_heads: &a 4", 12, "&a 4"),
        ("num_heads: 4", "num_heads: *a", 12, "*a"),
        ("num_heads: 4", "num_heads: !!python/object:os.system 4", 12, "!!python/object:os.system 4"),
        ("num_heads: 4", "num_heads: {a: 1}", 12, "{a: 1}"),
        ("num_heads: 4", 'num_heads: "4"', 12, '"4"'),
        ("num_heads: 4", "num_heads: '", 12, "'"),
        ("num_heads: 4", "num_heads: 4\n  num_heads: 4", 13, "  num_heads: 4"),
        ("num_heads: 4", "num_heads: 4\n    deep: 1", 13, "    deep: 1"),
        ("num_heads: 4", "a:\n    b:\n      c:\n        d: 1", 15, "        d: 1"),
        ("num_heads: 4", "\tnum_heads: 4", 12, "  \\tnum_heads: 4"),
        ("num_heads: 4", "num_heads 4", 12, "  num_heads 4"),
        ("MODEL:", "--- MODEL:", 8, "--- MODEL:"),
        ("- 0.02", "- [0.02]", 7, "[0.02]"),
    ],
)
def test_what_yacs_does_not_write_is_refused_with_the_line(old: str, new: str, line: int, found: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_config("model.yml", TEXT.replace(old, new))
    assert str(caught.value) == f"model.yml: line {line}: {found!r} is not what yacs writes; expected `key: value`"


def test_a_text_without_a_model_is_refused() -> None:
    for text in ("", "VERSION: 1\n", "MODEL: 3\n"):
        with pytest.raises(FormatError) as caught:
            parse_config("model.yml", text)
        assert str(caught.value) == "model.yml: has no MODEL; expected a config of GluonNLP 1.0 as yacs writes it"
