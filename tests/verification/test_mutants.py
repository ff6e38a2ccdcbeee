from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversion_errors import BERT, ERNIE, ERRORS, GPT2, SOURCE, Mutant, bort_mutants, row_pairs
from form_errors import FORM_ERRORS, TAGGER
from mutants import MARGIN, Bench

from bort_convert.verification.findings import BEHAVIOUR, NAMES_AND_SHAPES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]


def named(value: Path | Mutant) -> str:
    return value.name if isinstance(value, Mutant) else value.stem


@pytest.fixture(scope="module")
def benches() -> dict[Path, Bench]:
    return {}


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, benches: dict[Path, Bench], tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    source: Path = request.param
    if source not in benches:
        benches[source] = Bench(tmp_path_factory.mktemp("bench"), source)
    return benches[source]


@pytest.mark.parametrize(
    ("bench", "mutant"),
    [(source, mutant) for source, errors in {**ERRORS, **FORM_ERRORS}.items() for mutant in errors()],
    indirect=["bench"],
    ids=named,
)
def test_each_error_is_caught_by_the_checks_that_should_see_it(bench: Bench, mutant: Mutant) -> None:
    outcome = bench.try_out(mutant)
    assert outcome.caught_by >= mutant.caught_by
    if BEHAVIOUR in mutant.caught_by:
        assert outcome.margin >= MARGIN


@pytest.mark.parametrize("bench", {**ERRORS, **FORM_ERRORS}, indirect=True, ids=named)
def test_the_unmutated_model_passes_twenty_seeds_in_a_row(bench: Bench) -> None:
    outcome = bench.check(bench.clean, bench.run(*range(20)))
    assert not outcome.caught_by
    assert outcome.margin < 0.2


@pytest.mark.parametrize("source", [SOURCE, BERT, GPT2, ERNIE, TAGGER], ids=named)
def test_large_weights_pass_and_hide_no_error(source: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path, source, scale=3.0)
    outcome = bench.check(bench.clean, bench.trace)
    assert not outcome.caught_by
    errors = list({**ERRORS, **FORM_ERRORS}[source]())
    for mutant in errors[:: max(1, len(errors) // 12)] + [error for error in errors if "epsilon" in error.name]:
        outcome = bench.try_out(mutant)
        assert outcome.caught_by >= mutant.caught_by - {NAMES_AND_SHAPES}, mutant.name
        if BEHAVIOUR in mutant.caught_by:
            assert outcome.margin >= MARGIN, mutant.name


def test_all_pairs_of_rows_with_one_shape_are_swapped() -> None:
    # 6 matrices and 10 vectors in a layer; 2 gammas, 2 betas and the head's bias outside: 15 + 45 + 10.
    assert len(list(row_pairs())) == 70


@pytest.mark.parametrize("bench", [SOURCE], indirect=True)
def test_an_error_that_no_hidden_state_shows_is_caught_by_the_bits_alone(bench: Bench) -> None:
    (mutant,) = (mutant for mutant in bort_mutants() if mutant.name == "key bias changed")
    outcome = bench.try_out(mutant)
    assert outcome.margin < 1
    assert outcome.details["bits"].startswith(
        "encoder.transformer_cells.0.attention_cell.proj_key.bias: 24 of 24 values come back with other bits"
    )
