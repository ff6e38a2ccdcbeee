"""Hyperparameters that no file tells: `--set`, and the lines that say what was taken for granted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import run

import bort_convert
from bort_convert.cli.options import typed_value

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Hyperparameter

GPT2 = "gpt2_2_3_48_12.params"
ERNIE = "ernie_2_2_8_8.params"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gelu", "gelu"),
        ("12", 12),
        ("-1", -1),
        ("1e-5", 1e-5),
        ("0.5", 0.5),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("٣", "٣"),
    ],
)
def test_a_value_has_the_type_that_it_spells(text: str, value: Hyperparameter) -> None:
    found = typed_value(text)
    assert (found, type(found)) == (value, type(value))


def test_a_hyperparameter_is_set_in_the_config_and_kept_in_the_manifest(fixtures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(fixtures / GPT2, out, "--heads", 3, "--set", "activation=gelu", "--set", "layer-norm-eps=1e-6")
    assert result.exit_code == 0, result.output
    assert "  activation gelu: as you said; nothing in the file can tell\n" in result.stdout
    assert "  layer_norm_eps 1e-06: as you said; nothing in the file can tell\n" in result.stdout
    assert "taken for granted" not in result.stdout
    config = json.loads((out / "config.json").read_text("utf-8"))
    assert (config["activation_function"], config["layer_norm_epsilon"]) == ("gelu", 1e-6)
    manifest = json.loads((out / "conversion.json").read_text("utf-8"))
    assert manifest["hyperparameters"]["hidden_act"] == "gelu"
    assert run("check", out).exit_code == 0


def test_inspect_shows_what_was_set(fixtures: Path) -> None:
    fit = json.loads(run("inspect", fixtures / GPT2, "--heads", 3, "--set", "activation=gelu", "--json").stdout)["fit"]
    assert fit["hyperparameters"]["hidden_act"] == "gelu"
    assert fit["config"]["activation_function"] == "gelu"


@pytest.mark.parametrize("command", ["convert", "inspect", "record"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("activation=exact",),
            "Error: --set activation=exact: hidden_act is 'exact', expected one of gelu_new, gelu\n",
        ),
        (
            ("colour=red",),
            (
                "Error: --set colour=red: GPT-2 has no colour; expected one of attention_heads, bos_token_id, "
                "eos_token_id, hidden_act, layer_norm_eps\n"
            ),
        ),
        (
            ("layer_norm_eps=tiny",),
            "Error: --set layer_norm_eps=tiny: layer_norm_eps is 'tiny', expected a number between 0 and 1\n",
        ),
        (("activation",), "Error: Invalid value for '--set': 'activation' is no NAME=VALUE such as activation=gelu\n"),
        (("=gelu",), "Error: Invalid value for '--set': '=gelu' is no NAME=VALUE such as activation=gelu\n"),
        (("a=1", "a=2"), "Error: Invalid value for '--set': a is set twice\n"),
        (("activation=gelu", "hidden_act=gelu"), "Error: Invalid value for '--set': hidden_act is set twice\n"),
    ],
)
def test_a_wrong_hyperparameter_is_a_usage_error(
    command: str, words: tuple[str, ...], message: str, fixtures: Path, tmp_path: Path
) -> None:
    places = [fixtures / GPT2] if command == "inspect" else [fixtures / GPT2, tmp_path / "out"]
    options = [part for word in words for part in ("--set", word)]
    result = run(command, *places, "--family", "gpt2", "--heads", 3, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_hyperparameter_is_json_where_json_was_asked_for(fixtures: Path) -> None:
    error = json.loads(
        run("inspect", fixtures / GPT2, "--family", "gpt2", "--heads", 3, "--set", "a=b", "--json").stdout
    )["error"]
    assert (error["type"], error["option"], error["value"]) == ("OptionError", "hyperparameters", {"a": "b"})


@pytest.mark.parametrize("command", ["convert", "inspect"])
def test_what_was_taken_for_granted_is_printed(command: str, fixtures: Path, tmp_path: Path) -> None:
    out = [tmp_path / "out"] if command == "convert" else []
    lines = run(command, fixtures / GPT2, *out, "--heads", 3).stdout.splitlines()
    assert (
        "  taken for granted, nothing in the file tells: hidden_act gelu_new, layer_norm_eps 1e-05; --set NAME=VALUE "
        "says otherwise, such as --set activation=gelu"
    ) in lines
    assert (
        "  special token ids left out: bos 50256, eos 50256 by GPT-2's own vocabulary, and this one has no such row: "
        "no vocabulary was given"
    ) in lines
    lines = run(
        command, fixtures / ERNIE, *(path.with_name("ernie") for path in out), "--family", "ernie", "--heads", 2
    ).stdout.splitlines()
    assert "  special token ids by ERNIE's own vocabulary: pad 0: no vocabulary was given" in lines


@pytest.mark.parametrize(
    ("source", "options", "last"),
    [
        (ERNIE, ("--family", "ernie"), 'bort_convert.load_pretrained("{out}")'),
        ("ernie_2_2_8_8-pooled.params", ("--family", "ernie"), 'transformers.AutoModel.from_pretrained("{out}")'),
        (
            "distilbert_2_2_8_8.params",
            ("--family", "distilbert", "--gluonnlp-version", "0.9.1"),
            'bort_convert.load_pretrained("{out}")',
        ),
        (
            "bert_2_2_8_8.params",
            ("--family", "bert", "--set", "activation=relu"),
            'bort_convert.load_pretrained("{out}")',
        ),
        ("bert_2_2_8_8.params", ("--family", "bert"), 'transformers.AutoModelForPreTraining.from_pretrained("{out}")'),
        ("xlnet_2_2_8_8-encoder.params", ("--set", "clamp_len=5"), 'bort_convert.load_pretrained("{out}")'),
    ],
)
def test_the_last_line_loads_a_model_that_computes_what_the_original_does(
    source: str, options: tuple[str, ...], last: str, fixtures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    *lines, printed = run(fixtures / source, out, "--heads", 2, *options).stdout.splitlines()
    assert printed == f"Load it with {last.format(out=out)}"
    assert lines[-1].startswith("  The config has no key for ") is last.startswith("bort_convert")


def test_the_output_of_a_conversion_can_be_pasted_into_python(fixtures: Path, tmp_path: Path) -> None:
    for name in ("plain", "it's", 'a "b" c', "a\\b", "li\nne", "\x1b[31m"):
        printed = run(fixtures / ERNIE, tmp_path / name, "--family", "ernie", "--heads", 2).stdout.splitlines()[-1]
        assert printed.isprintable()
        argument = printed.removeprefix("Load it with bort_convert.load_pretrained(").removesuffix(")")
        assert eval(argument) == str(tmp_path / name)  # noqa: S307 - this is what a user does with it


def test_a_recorded_directory_is_exported_with_what_was_set(fixtures: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back.params"
    assert run(fixtures / GPT2, out, "--heads", 3, "--set", "activation=gelu").exit_code == 0
    result = run("export", out, back)
    assert result.exit_code == 0, result.output
    assert "hidden_act gelu" in result.stdout
    assert bort_convert.inspect(back, heads=3, hyperparameters={"activation": "gelu"}).fit is not None
