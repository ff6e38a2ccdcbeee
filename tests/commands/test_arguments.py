"""Arguments of the public functions: wrong ones, old names, and groups of options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert import TokenizerOptions, arguments, cli
from bort_convert.dtypes import FLOATS
from bort_convert.errors import OptionError, ParityError
from bort_convert.verification.trace import BOTH, DTYPES

if TYPE_CHECKING:
    from pathlib import Path

BORT = {"family": "bort", "heads": 8}


@pytest.fixture
def source(fixtures: Path) -> Path:
    return fixtures / "bort_4_8_24_32.params"


@pytest.fixture
def files(fixtures: Path) -> dict[str, Any]:
    return {"vocab": fixtures / "tiny.vocab", "bpe_ranks": fixtures / "tiny_ranks.txt"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Literal types


def test_the_literal_types_hold_every_value_that_is_accepted() -> None:
    assert list(get_args(arguments.FamilyName)) == sorted(bort_convert.families())
    assert get_args(arguments.FloatDtype) == FLOATS
    assert get_args(arguments.RunDtype) == (*DTYPES, BOTH)


# Wrong arguments


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"family": "llama"}, "`family='llama'`: expected one of "),
        ({"variant": "bort_huge"}, "`variant='bort_huge'`: the file fits bort; expected one of bort_4"),
        ({"heads": 7}, "`heads=7`: "),
        ({"heads": "8"}, "`heads='8'`: "),
        ({"gluonnlp_version": "7"}, "`gluonnlp_version='7'`: expected one of 0.8"),
        ({"dtype": "int8"}, "`dtype='int8'`: expected one of float16"),
        ({"max_shard_size": "5"}, "`max_shard_size='5'`: is no file size"),
        ({"max_shard_size": 5}, "`max_shard_size=5`: is no file size"),
        ({"labels": ["a"]}, "`labels=['a']`: is for a classifier or a tagger; the checkpoint is a language model"),
        ({"problem_type": "regression"}, "`problem_type='regression'`: is for a classifier"),
        ({"lower_case": True}, "`lower_case=True`: this model has a byte-level BPE tokenizer"),
        ({"tokenizer": "x", "vocab": "y"}, "`tokenizer='x'`: stands for a vocabulary and its merges"),
    ],
)
def test_a_wrong_argument_of_convert_is_an_option_error(
    source: Path, tmp_path: Path, argument: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError) as error:
        bort_convert.convert(source, tmp_path / "out", **BORT | argument)
    assert str(error.value).startswith(message)
    assert error.value.option in argument
    assert error.value.value == argument[error.value.option]
    assert isinstance(error.value, ValueError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"labels": "abc"}, "`labels='abc'`: is one string; expected a list of strings"),
        ({"labels": ["a", "b"]}, "`labels=['a', 'b']`: has 2 names; expected 3"),
        ({"problem_type": "ranking"}, "`problem_type='ranking'`: expected one of regression"),
    ],
)
def test_a_wrong_argument_for_a_classifier_is_an_option_error(
    fixtures: Path, tmp_path: Path, argument: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError) as error:
        bort_convert.convert(fixtures / "bort_4_8_24_32-classifier3.params", tmp_path / "out", **BORT | argument)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "SOURCE", "OUT", "--family", "bort", "--heads", "7"],
        ["convert", "SOURCE", "OUT", "--family", "bort", "--heads", "8", "--max-shard-size", "5"],
        ["convert", "SOURCE", "OUT", "--family", "bort", "--heads", "8", "--labels", "a,b"],
        ["convert", "SOURCE", "OUT", "--family", "bort", "--heads", "8", "--cased"],
        ["extract", "SOURCE", "OUT.bin"],
    ],
)
def test_the_command_line_exits_with_2_for_a_wrong_argument(source: Path, tmp_path: Path, command: list[str]) -> None:
    paths = {"SOURCE": str(source), "OUT": str(tmp_path / "out"), "OUT.bin": str(tmp_path / "out.bin")}
    result = CliRunner().invoke(cli.main, [paths.get(word, word) for word in command])
    assert result.exit_code == 2
    assert "`" not in result.stderr
    assert list(tmp_path.iterdir()) == []


# The old name of the GluonNLP version


def test_producer_is_an_alias_of_gluonnlp_version(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "bert_2_2_8_8.params"
    for keyword in ("gluonnlp_version", "producer"):
        bort_convert.convert(source, tmp_path / keyword, family="bert", heads=2, **{keyword: "0.9.1"})  # type: ignore[arg-type]
    assert contents(tmp_path / "gluonnlp_version") == contents(tmp_path / "producer")
    new, old = (
        bort_convert.inspect(source, family="bert", heads=2, **{keyword: "0.9.1"}).to_dict()  # type: ignore[arg-type]
        for keyword in ("gluonnlp_version", "producer")
    )
    assert new == old
    assert new != bort_convert.inspect(source, family="bert", heads=2).to_dict()


def test_both_names_of_the_version_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"`producer='0.9'`: is the old name of `gluonnlp_version`"):
        bort_convert.convert(source, tmp_path / "out", gluonnlp_version="0.8", producer="0.9")
    with pytest.raises(OptionError, match=r"`producer='0.8'`: is the old name of `gluonnlp_version`"):
        bort_convert.inspect(source, gluonnlp_version="0.8", producer="0.8")


# Options of the tokenizer


def test_tokenizer_options_are_the_keywords_in_one_object(source: Path, tmp_path: Path, files: dict[str, Any]) -> None:
    keywords = {**files, "roberta_pairs": True}
    grouped, mixed = TokenizerOptions(**keywords), TokenizerOptions(vocab=files["vocab"])
    bort_convert.convert(source, tmp_path / "keywords", **BORT, **keywords)
    bort_convert.convert(source, tmp_path / "grouped", **BORT, tokenizer_options=grouped)
    bort_convert.convert(
        source, tmp_path / "mixed", **BORT, tokenizer_options=mixed, bpe_ranks=files["bpe_ranks"], roberta_pairs=True
    )
    bort_convert.convert(source, tmp_path / "later", **BORT)
    bort_convert.add_tokenizer(tmp_path / "later", tokenizer_options=grouped)
    assert "tokenizer.json" in contents(tmp_path / "keywords")
    for form in ("grouped", "mixed", "later"):
        assert contents(tmp_path / form) == contents(tmp_path / "keywords")


def test_the_same_tokenizer_option_in_both_forms_is_refused(
    source: Path, tmp_path: Path, files: dict[str, Any]
) -> None:
    options = TokenizerOptions(**files)
    message = "`tokenizer_options` specifies it too"
    with pytest.raises(OptionError, match=message):
        bort_convert.convert(source, tmp_path / "out", **BORT, tokenizer_options=options, vocab="x")
    bort_convert.convert(source, tmp_path / "out", **BORT)
    before = contents(tmp_path / "out")
    with pytest.raises(OptionError, match=message):
        bort_convert.add_tokenizer(tmp_path / "out", tokenizer_options=options, bpe_ranks="x")
    assert contents(tmp_path / "out") == before


# Verification within a conversion


def test_verify_is_true_or_a_function(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, str]] = []

    def failing(reference: object, target: Path, symbol: object = None) -> object:
        assert symbol is None
        calls.append((reference, (target / "conversion.json").read_text("utf-8")[:1]))
        return SimpleNamespace(passed=False, headline="FAIL by the test")

    monkeypatch.setattr("bort_convert.verification.verify", failing)
    for verify in (True, failing):
        with pytest.raises(ParityError, match=r"FAIL by the test\. Nothing was written"):
            bort_convert.convert(source, tmp_path / "out", **BORT, verify=verify)
    assert calls == [(source, "{")] * 2
    assert list(tmp_path.iterdir()) == []
    for nothing in (False, None):
        bort_convert.convert(source, tmp_path / str(nothing), **BORT, verify=nothing)
    assert len(calls) == 2
