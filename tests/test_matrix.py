"""Converted models as a user loads them, exports and tokenizers, against GluonNLP: a bounded choice of `make matrix`.

A case is one test; its group begins its id, so `-k own_vocabulary` runs one kind alone. How a case is run, and what the
groups are: tests/support/matrix.py and matrix_cases.py.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import matrix
import numpy as np
import pytest
from conftest import unavailable
from matrix_cases import LATER, NAMINGS, STOCK, VERSION, Case, Conversion, Export, Texts, cases
from matrix_shapes import FORMS, Batch, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHOICE = cases(full=False)
GPT2_SIZES = {"layers": 3, "heads": 4, "hidden": 48, "intermediate": 192, "positions": 32}
XLNET_SIZES = {"layers": 3, "heads": 4, "hidden": 48, "intermediate": 80, "positions": 14, "vocab": 90, "types": 2}
WRITTEN_BY_THE_SCRIPTS = {
    "gpt_script083": ("gpt2", "language_model", GPT2_SIZES | {"vocab": 101}),
    "gpt_small": ("gpt2", "language_model", GPT2_SIZES | {"vocab": 120}),
    "xl_lm": ("xlnet", "language_model", XLNET_SIZES),
    "xl_bare": ("xlnet", "encoder", XLNET_SIZES),
    "xl_gelu": ("xlnet", "language_model", XLNET_SIZES | {"activation": "gelu"}),
    "xl_clamp": ("xlnet", "language_model", XLNET_SIZES | {"clamp": 5}),
}


@pytest.fixture(scope="module")
def processes() -> Iterator[matrix.Processes]:
    started = matrix.Processes()
    yield started
    started.close()


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("case", CHOICE, ids=[case.name for case in CHOICE])
def test_a_user_gets_what_gluonnlp_computes(
    case: Case, processes: matrix.Processes, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if isinstance(case, Conversion) and case.version == LATER:
        request.getfixturevalue("releases")
    if "sentencepiece" in case.name and importlib.util.find_spec("sentencepiece") is None:
        unavailable("needs sentencepiece: pip install '.[dev]'")
    if problems := matrix.run_case(case, processes, tmp_path):
        pytest.fail("\n".join(problems[: matrix.LINES]), pytrace=False)


@pytest.mark.mxnet
@pytest.mark.shared
@pytest.mark.parametrize("name", WRITTEN_BY_THE_SCRIPTS)
def test_the_networks_of_the_matrix_are_those_of_gluonnlps_scripts(
    name: str, processes: matrix.Processes, shared: Path, tmp_path: Path
) -> None:
    family, form, sizes = WRITTEN_BY_THE_SCRIPTS[name]
    known = {
        "vocab": 0,
        "types": 0,
        "labels": 0,
        "activation": "gelu_new",
        "epsilon": 1e-5 if family == "gpt2" else 1e-12,
    }
    shape = Shape(family=family, form=form, **{**known, **sizes})
    with np.load(shared / "corpus" / "originals" / f"{name}.npz") as stored:
        expected = dict(stored)
    ids = expected["ids"]
    lengths = expected.get("lens", np.full(len(ids), ids.shape[1]))
    batch = Batch(ids, expected.get("tt", np.zeros_like(ids)), lengths)
    path = shutil.copy(shared / "corpus" / "originals" / f"{name}.params", tmp_path)
    np.savez(tmp_path / "inputs.npz", **batch.arrays("ids"))
    inputs = str(tmp_path / "inputs.npz")
    processes.ask(VERSION, "load", shape=asdict(shape), naming="structural", path=str(path), inputs=inputs)
    with np.load(tmp_path / f"{name}.npz") as outputs:
        actual = outputs["ids/lm_logits" if form == "language_model" else f"ids/layer{shape.layers - 1}"]
    reference = expected["logits" if family == "gpt2" else "out"]
    assert np.abs(actual - reference)[batch.valid].max() < 2e-6 * np.abs(reference[batch.valid]).max()


@pytest.mark.parametrize("full", [False, True])
def test_the_matrix_has_every_family_in_every_form_and_every_naming_scheme(*, full: bool) -> None:
    plain = [case for case in cases(full=full) if isinstance(case, Conversion) and case.group == "conversion"]
    forms = {(family, form) for family in FORMS for form in FORMS[family]}
    assert {(case.family, case.shape.form) for case in plain} == forms
    assert {*NAMINGS, "unprefixed"} == {case.naming for case in plain}
    if full:
        assert {(case.family, case.shape.form, case.naming) for case in plain} >= {
            (*form, naming) for form in forms for naming in NAMINGS
        }
        assert {case.shape.heads for case in plain} >= {1, 2, 3, 4, 5, 7, 8, 12}


def test_the_full_matrix_covers_more_than_was_tried_by_hand() -> None:
    full = cases(full=True)
    assert sum(isinstance(case, Conversion) for case in full) >= 182
    assert sum(isinstance(case, Export) for case in full) >= 68
    assert sum(case.count for case in full if isinstance(case, Texts)) >= 1425


@pytest.mark.parametrize("full", [False, True])
def test_every_stock_class_with_a_place_in_gluonnlp_is_exported(*, full: bool) -> None:
    exported = [case for case in cases(full=full) if isinstance(case, Export) and case.group == "export"]
    assert {case.model for case in exported} == {model for model, _, _ in STOCK}
    assert {case.naming for case in exported} == {"structural", "prefix"}


def test_the_choice_of_ci_is_a_part_of_the_full_matrix_by_groups_and_families() -> None:
    full = {(case.group, case.family) for case in cases(full=True)}
    assert {(case.group, case.family) for case in CHOICE} <= full
    assert {group for group, _ in full} == {case.group for case in CHOICE}
