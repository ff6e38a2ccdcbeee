from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutants import (
    BERT,
    DISTILBERT,
    ERNIE,
    GPT2,
    MARGIN,
    ROBERTA,
    XLNET,
    Bench,
    Mutant,
    bert_mutants,
    distilbert_mutants,
    ernie_mutants,
    gpt2_mutants,
    mutants,
    roberta_mutants,
    row_pairs,
    xlnet_mutants,
)

from bort_convert.verify.result import BEHAVIOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def bert_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), BERT)


@pytest.mark.parametrize("mutant", list(mutants()), ids=lambda mutant: mutant.name)
def test_each_error_is_caught_by_the_rungs_that_should_see_it(bench: Bench, mutant: Mutant) -> None:
    outcome = bench.try_out(mutant)
    assert outcome.caught_by >= mutant.caught_by
    if BEHAVIOUR in mutant.caught_by:
        assert outcome.margin >= MARGIN


@pytest.mark.parametrize("mutant", list(bert_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_what_a_bert_has_more_is_caught_too(bert_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(bert_bench, mutant)


@pytest.fixture(scope="module")
def roberta_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), ROBERTA)


@pytest.mark.parametrize("mutant", list(roberta_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_what_a_roberta_has_in_another_way_is_caught_too(roberta_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(roberta_bench, mutant)


@pytest.fixture(scope="module")
def gpt2_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), GPT2)


@pytest.mark.parametrize("mutant", list(gpt2_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_a_gpt2_is_caught_too(gpt2_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(gpt2_bench, mutant)


@pytest.fixture(scope="module")
def ernie_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), ERNIE)


@pytest.mark.parametrize("mutant", list(ernie_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_what_an_ernie_computes_otherwise_is_caught_too(ernie_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(ernie_bench, mutant)


@pytest.fixture(scope="module")
def distilbert_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), DISTILBERT)


@pytest.mark.parametrize("mutant", list(distilbert_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_what_becomes_of_a_distilbert_is_caught_too(distilbert_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(distilbert_bench, mutant)


@pytest.fixture(scope="module")
def xlnet_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), XLNET)


@pytest.mark.parametrize("mutant", list(xlnet_mutants()), ids=lambda mutant: mutant.name)
def test_each_error_in_relative_attention_is_caught_too(xlnet_bench: Bench, mutant: Mutant) -> None:
    test_each_error_is_caught_by_the_rungs_that_should_see_it(xlnet_bench, mutant)


@pytest.mark.parametrize(
    "name", ["bert_bench", "roberta_bench", "gpt2_bench", "ernie_bench", "distilbert_bench", "xlnet_bench"]
)
def test_the_unmutated_others_pass_twenty_seeds_in_a_row(request: pytest.FixtureRequest, name: str) -> None:
    test_the_unmutated_model_passes_twenty_seeds_in_a_row(request.getfixturevalue(name))


def test_all_pairs_of_rows_with_one_shape_are_swapped() -> None:
    # In a layer 6 matrices and 10 vectors, outside 2 gammas, 2 betas and the head's bias: 15 + 45 + 10.
    assert len(list(row_pairs())) == 70


def test_what_no_hidden_state_shows_is_seen_by_the_bits_alone(bench: Bench) -> None:
    (mutant,) = (mutant for mutant in mutants() if mutant.name == "key bias changed")
    outcome = bench.try_out(mutant)
    assert outcome.margin < 1
    assert outcome.details["bits"].startswith(
        "encoder.transformer_cells.0.attention_cell.proj_key.bias: 24 of 24 values come back with other bits"
    )


def test_the_unmutated_model_passes_twenty_seeds_in_a_row(bench: Bench) -> None:
    outcome = bench.climb(bench.clean, bench.run(*range(20)))
    assert not outcome.caught_by
    assert outcome.margin < 0.2
