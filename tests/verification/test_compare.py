from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bort_convert.verification.compare import (
    FLOORS,
    HEAD_FLOAT32,
    HIDDEN_FLOAT32,
    Difference,
    Limit,
    compare,
    limit_of,
    measure,
)
from bort_convert.verification.findings import BEHAVIOUR, CheckResult
from bort_convert.verification.headline import failure_line, labels
from bort_convert.verification.notes import limit_note
from bort_convert.verification.report import Report
from bort_convert.verification.trace import Trace, sampled

PROVENANCE = {
    "source": "x.params",
    "sha256": "0",
    "family": "bort",
    "architecture": "BertForMaskedLM",
    "dims": json.dumps({"vocab_size": 9, "max_positions": 4, "hidden_size": 2, "layers": 2}),
    "hyperparameters": json.dumps({"attention_heads": 1}),
    "config": "{}",
}


def a_trace(**outputs: dict[str, np.ndarray]) -> Trace:
    """Two rows of three tokens, of which 3 and 1 are valid."""
    inputs = {
        "input_ids": np.zeros((2, 3), np.int64),
        "valid_length": np.array([3, 1]),
        "masked_positions": np.array([[0, 2], [0, 0]]),
    }
    return Trace(inputs, outputs, PROVENANCE)


def hidden(value: float = 1.0) -> np.ndarray:
    return np.full((2, 3, 2), value)


def test_numbers_are_those_computed_by_hand() -> None:
    reference, target = np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 2.5])
    found, index = measure("layer.0", "float64", reference, target, Limit(0.25, 0.125))
    assert (found.name, found.dtype) == ("layer.0", "float64")
    assert (found.count, found.max_abs, index) == (3, 0.5, (2,))
    assert found.mean_abs == pytest.approx(1 / 6)
    assert found.cosine == pytest.approx((1 + 4 + 5) / (3 * np.sqrt(1 + 4 + 6.25)))
    assert found.largest == 2.0
    assert found.limit == 0.25
    assert found.smallest_atol == 0.5
    assert not found.passed


@pytest.mark.parametrize(("largest", "smallest"), [(0.5, 0.5), (1.234e-5, 1.3e-5), (9.99e-3, 1e-2), (3e-14, 3e-14)])
def test_the_smallest_tolerance_passes_and_has_two_digits(largest: float, smallest: float) -> None:
    found, _ = measure("x", "float64", np.array([0.0]), np.array([largest]), Limit(0.0, 0.0))
    assert found.smallest_atol == pytest.approx(smallest, rel=1e-12)
    assert found.smallest_atol >= largest


def test_a_difference_at_the_limit_passes_and_one_above_does_not() -> None:
    for step, passed in ((0.25, True), (np.nextafter(0.25, 1), False)):
        found, _ = measure("x", "float64", np.zeros(2), np.array([0.0, step]), Limit(0.25, 0.0))
        assert found.passed is passed


def test_float32_is_cast_up_before_it_is_subtracted() -> None:
    reference = np.array([1.0 + 2**-40])
    found, _ = measure("x", "float32", reference, reference.astype(np.float32), Limit(1.0, 0.0))
    assert found.max_abs == 2**-40


def test_limits_grow_with_the_largest_value_only_where_that_is_large() -> None:
    assert limit_of("layer.0", "float64").at(8.0) == 1e-12
    assert limit_of("layer.0", "float64").at(1000.0) == pytest.approx(1e-10)
    assert limit_of("layer.0", "float32").at(8.0) == 3e-5
    assert limit_of("mlm_logits", "float32").at(8.0) == 1e-4
    assert limit_of("mlm_logits", "float32", atol=0.5).at(1e9) == 0.5
    assert limit_of("mlm_logits", "float32", rtol=0.5).at(4.0) == 2.0


def test_only_valid_positions_are_compared() -> None:
    target = hidden()
    target[0, 2, 1] = 1.5
    target[1, 1:] = 1e9
    (run,) = compare(a_trace(float64={"layer.0": hidden()}), {"float64": {"layer.0": target}})
    (layer,) = run.layers
    assert (layer.count, layer.max_abs) == (8, 0.5)
    assert layer.where == {"batch": 0, "token": 2, "unit": 1}


def test_a_sampled_trace_is_compared_at_its_positions() -> None:
    whole = a_trace(float64={"layer.0": hidden()})
    sampled = Trace({**whole.inputs, "positions": np.array([[1, 0]])}, {"float64": {"layer.0": np.ones((1, 2))}}, {})
    target = hidden()
    target[0] = 9.0
    target[1, 0, 1] = 3.0
    (run,) = compare(sampled, {"float64": {"layer.0": target}})
    assert (run.layers[0].count, run.layers[0].max_abs) == (2, 2.0)
    assert run.layers[0].where == {"batch": 1, "token": 0, "unit": 1}


def test_a_position_in_logits_is_named_by_token_and_vocabulary_row() -> None:
    logits = np.zeros((2, 2, 9))
    target = logits.copy()
    target[0, 1, 7] = 1.0
    (run,) = compare(a_trace(float64={"mlm_logits": logits}), {"float64": {"mlm_logits": target}})
    assert run.layers[0].where == {"batch": 0, "token": 2, "vocab": 7}
    labelled = np.zeros((2, 3))
    (run,) = compare(a_trace(float64={"logits": labelled}), {"float64": {"logits": labelled + np.array([0, 0, 1])}})
    assert run.layers[0].where == {"batch": 0, "label": 2}
    for name, axis in (("pooled", "unit"), ("next_sentence", "label")):
        (run,) = compare(a_trace(float64={name: np.zeros((2, 2))}), {"float64": {name: np.array([[0, 0], [0, 1]])}})
        assert run.layers[0].where == {"batch": 1, axis: 1}
    spans = np.zeros((2, 3, 2))
    spans[1, 0, 1] = spans[1, 2, 1] = 1.0  # the second is beyond the row's length
    (run,) = compare(a_trace(float64={"span_logits": spans * 0}), {"float64": {"span_logits": spans}})
    assert (run.layers[0].where, run.layers[0].count) == ({"batch": 1, "token": 0, "label": 1}, 8)
    attention = np.zeros((2, 3, 1, 3))
    other = attention.copy()
    other[0, 1, 0, 2] = 1.0
    (run,) = compare(a_trace(float64={"attention.0": attention}), {"float64": {"attention.0": other}})
    assert run.layers[0].where == {"batch": 0, "token": 1, "head": 0, "key": 2}


def test_the_floor_is_each_framework_against_its_own_float64() -> None:
    trace = a_trace(float32={"layer.0": hidden(1.25)}, float64={"layer.0": hidden(1.0)})
    runs = compare(trace, {"float32": {"layer.0": hidden(1.0)}, "float64": {"layer.0": hidden(1.5)}})
    assert runs[0].layers[0].floors == {"mxnet": 0.25, "torch": 0.5}
    assert runs[0].layers[0].floor == 0.5
    assert runs[1].layers[0].floor is None


@pytest.mark.parametrize(("floor", "limit", "by"), [(1e-3, 4e-3, "floor"), (1e-9, 3e-5, "fixed")])
def test_a_limit_follows_the_floor_of_the_reference_where_that_is_large(floor: float, limit: float, by: str) -> None:
    trace = a_trace(float32={"layer.0": hidden(1 + floor)}, float64={"layer.0": hidden()})
    target = {"float32": {"layer.0": hidden(1 + 3.9 * floor + floor)}, "float64": {"layer.0": hidden()}}
    single, double = (run.layers[0] for run in compare(trace, target))
    assert (single.limit, single.limit_by) == (pytest.approx(limit, rel=1e-9), by)
    assert (double.limit, double.limit_by) == (pytest.approx(max(1e-12, 4 * floor / 2**29), rel=1e-9), by)
    assert single.passed
    (worse,) = compare(trace, {"float32": {"layer.0": hidden(1 + floor + 1.01 * limit)}})
    assert not worse.passed
    for run in compare(trace, target, atol=1e-9):
        assert (run.layers[0].limit, run.layers[0].limit_by) == (1e-9, "fixed")


def test_the_floor_of_torch_moves_no_limit() -> None:
    trace = a_trace(float32={"layer.0": hidden()}, float64={"layer.0": hidden()})
    single, double = compare(trace, {"float32": {"layer.0": hidden(1.5)}, "float64": {"layer.0": hidden(1.0)}})
    assert single.layers[0].floors == {"mxnet": 0.0, "torch": 0.5}
    assert (single.layers[0].limit, double.layers[0].limit) == (3e-5, 1e-12)
    assert not single.passed


def test_without_float64_of_the_reference_the_limits_are_fixed() -> None:
    (run,) = compare(a_trace(float32={"layer.0": hidden()}), {"float32": {"layer.0": hidden(1.5)}})
    assert (run.layers[0].limit, run.layers[0].limit_by) == (3e-5, "fixed")


def test_a_note_names_the_limits_that_follow_the_floor() -> None:
    large = {name: hidden(1.001) for name in ("layer.0", "layer.1")}
    trace = a_trace(float32=large, float64=dict.fromkeys(large, hidden()))
    ours = {dtype: dict.fromkeys(large, hidden()) for dtype in ("float32", "float64")}
    assert limit_note(compare(trace, ours)) == (
        "float32: the limit of layers 0-1 is 4 times mxnet's float32 noise floor",
        "float64: the limit of layers 0-1 is 4 times mxnet's float32 noise floor, times 2**-29",
    )
    assert not limit_note(compare(trace, ours, atol=1.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "target"])
def test_values_that_are_not_finite_fail_and_are_named(side: str, value: float) -> None:
    arrays = {"reference": hidden(), "target": hidden()}
    arrays[side][1, 0, 1] = value
    runs = compare(a_trace(float64={"layer.1": arrays["reference"]}), {"float64": {"layer.1": arrays["target"]}})
    assert not runs[0].passed
    expected = f"1 of 8 values of the {side} are not finite, the first at (batch 1, token 0, unit 1)"
    assert failure_line(runs[0], None) == f"FAIL layer 1: {expected} (float64)"


def test_two_equal_nans_fail_too() -> None:
    (run,) = compare(a_trace(float64={"layer.0": hidden(np.nan)}), {"float64": {"layer.0": hidden(np.nan)}})
    assert not run.passed


def test_comparing_nothing_fails() -> None:
    empty = Trace(
        {**a_trace().inputs, "positions": np.zeros((0, 2), np.int64)}, {"float64": {"layer.0": np.ones((0, 2))}}, {}
    )
    (run,) = compare(empty, {"float64": {"layer.0": hidden()}})
    assert not run.passed
    assert run.layers == (Difference("layer.0", "float64", problem="no value was compared"),)
    both = replace(empty, outputs={dtype: {"layer.0": np.ones((0, 2))} for dtype in ("float32", "float64")})
    for run in compare(both, {dtype: {"layer.0": hidden()} for dtype in both.outputs}):
        assert run.layers == (Difference("layer.0", run.dtype, problem="no value was compared"),)
    (run,) = compare(a_trace(float64={}), {"float64": {"layer.0": hidden()}})
    assert not run.passed
    assert not Report("x", "y", ())


def test_an_output_that_the_target_lacks_fails() -> None:
    (run,) = compare(a_trace(float64={"mlm_logits": np.zeros((2, 2, 9))}), {"float64": {}})
    assert (run.layers[0].dtype, run.layers[0].problem) == ("float64", "the target has no such output")
    assert not run.passed


def test_another_shape_fails() -> None:
    (run,) = compare(a_trace(float64={"layer.0": hidden()}), {"float64": {"layer.0": np.ones((2, 3, 5))}})
    problem = "the target has the shape (4, 5), expected (4, 2)"
    assert run.layers == (Difference("layer.0", "float64", problem=problem),)


def diverging(*names: str) -> Report:
    every = ("embeddings", "layer.0", "layer.1", "layer.2", "layer.3", "layer.4", "mlm_logits")
    good = {name: hidden() if name != "mlm_logits" else np.zeros((2, 2, 9)) for name in every}
    bad = {name: array + 0.31 * (name in names) for name, array in good.items()}
    runs = compare(a_trace(float32=good), {"float32": bad})
    return Report("x.params", "out", (CheckResult(BEHAVIOUR, passed=runs[0].passed, detail="x"),), runs)


def test_the_first_line_names_the_layer_and_those_that_inherit_its_error() -> None:
    report = diverging("layer.2", "layer.3", "layer.4")
    per_layer = diverging("layer.2").runs[0]
    line = (
        "FAIL layer 2: max |d| 0.31 at (batch 0, token 0, unit 0), limit 3e-05; first divergence; layers 3-4 inherit it"
    )
    assert failure_line(report.runs[0], per_layer) == f"{line} (float32)"
    assert Report(report.source, report.target, report.checks, report.runs, per_layer).headline == f"{line} (float32)"
    assert report.first_divergence is not None
    assert report.first_divergence.name == "layer.2"
    assert report.worst is not None
    assert not report


def test_the_first_line_names_outputs_that_are_at_fault_themselves() -> None:
    report = diverging("layer.1", "layer.3", "mlm_logits")
    line = failure_line(report.runs[0], diverging("layer.1", "layer.3").runs[0])
    assert line.endswith("; first divergence; layer 3 is at fault too; mlm_logits inherits it (float32)")
    line = failure_line(report.runs[0], diverging().runs[0])
    assert "fed the reference's input it passes: error that builds up; layer 3 and mlm_logits inherit it" in line
    line = failure_line(report.runs[0], None)
    assert line.endswith("; first divergence; layer 3 and mlm_logits differ too (float32)")


def test_runs_of_numbers_are_written_as_ranges() -> None:
    assert labels(["layer.0", "layer.1", "layer.3", "mlm_logits"]) == "layers 0-1, 3 and mlm_logits"
    assert labels(["embeddings"]) == "embeddings"
    assert labels(["attention.0", "layer.0", "logits"]) == "attention 0, layer 0 and logits"


def test_a_report_that_passed_says_so() -> None:
    report = diverging()
    assert report
    assert report.headline == "PASS out is x.params: behaviour"
    assert report.first_divergence is None


def test_values_too_far_apart_to_subtract_fail() -> None:
    found, _ = measure("x", "float64", np.array([1e308]), np.array([-1e308]), Limit(1.0, 0.0))
    assert found.max_abs == np.inf
    assert not found.passed


def test_values_that_are_not_finite_are_counted_in_the_precision_that_ran() -> None:
    target = hidden()
    target[0, 1, 1] = np.nan
    (run,) = compare(a_trace(float32={"layer.0": hidden()}), {"float32": {"layer.0": target}})
    (layer,) = run.layers
    assert (layer.name, layer.dtype, layer.count, layer.passed) == ("layer.0", "float32", 8, False)
    assert layer.problem.endswith("(batch 0, token 1, unit 1)")


def test_an_output_without_values_fails_under_its_name() -> None:
    found, index = measure("layer.0", "float32", np.zeros((0, 2)), np.zeros((0, 2)), Limit(1.0, 0.0))
    assert (found.name, found.dtype, found.problem, found.passed) == (
        "layer.0",
        "float32",
        "no value was compared",
        False,
    )
    assert index == ()


def test_the_limits_are_those_of_each_output_and_a_relative_tolerance_counts_alone() -> None:
    outputs = {"layer.0": hidden(2.0), "mlm_logits": np.full((2, 2, 9), 2.0)}
    reference = a_trace(float32=outputs)
    (run,) = compare(reference, {"float32": outputs})
    assert [layer.limit for layer in run.layers] == [HIDDEN_FLOAT32.at(2.0), HEAD_FLOAT32.at(2.0)]
    assert HIDDEN_FLOAT32.at(2.0) != HEAD_FLOAT32.at(2.0)
    (run,) = compare(reference, {"float32": outputs}, rtol=0.25)
    assert [layer.limit for layer in run.layers] == [0.5, 0.5]
    (run,) = compare(reference, {"float64": outputs})
    assert (run.layers, run.passed) == ((), False)


@pytest.mark.parametrize("max_abs", [1.4000000000000001e-09, 0.0012, 0.00121, 0.99, 1.0, 1.01, 3.00001e-7, 8.5e20])
def test_the_smallest_tolerance_of_two_digits_passes_and_no_smaller_one_does(max_abs: float) -> None:
    atol = Difference("layer.0", "float32", count=1, max_abs=max_abs).smallest_atol
    assert float(f"{atol:.1e}") == atol >= max_abs
    step = 10.0 ** (np.floor(np.log10(max_abs)) - 1)
    assert atol - max_abs < step * 1.000001


def test_the_noise_of_padding_is_none_of_the_floor() -> None:
    """Tokens behind the end of a row have no limit, and set none."""
    single, double = hidden(), hidden()
    single[1, 2] = 100.0
    outputs = {"float32": {"layer.0": single}, "float64": {"layer.0": double}}
    (run, _) = compare(a_trace(**outputs), outputs)
    assert run.layers[0].floors == {"mxnet": 0.0, "torch": 0.0}


def two_stacks(**outputs: dict[str, np.ndarray]) -> Trace:
    """Rows of 3 and 1 tokens in the encoder, of 1 and 2 in the decoder."""
    inputs = {"input_ids": np.zeros((2, 3), np.int64), "valid_length": np.array([3, 1])}
    inputs |= {"decoder_input_ids": np.zeros((2, 2), np.int64), "decoder_valid_length": np.array([1, 2])}
    return Trace(inputs, outputs, PROVENANCE)


def test_padding_is_that_of_the_stack_of_the_output() -> None:
    reference = two_stacks(float64={"decoder.layer.0": np.ones((2, 2, 2)), "encoder.layer.0": hidden()})
    target = {"decoder.layer.0": np.ones((2, 2, 2)), "encoder.layer.0": hidden()}
    target["decoder.layer.0"][0, 1] = target["encoder.layer.0"][1, 1] = 99.0
    (run,) = compare(reference, {"float64": target})
    assert run.passed
    assert [layer.count for layer in run.layers] == [6, 8]
    target["decoder.layer.0"][1, 1, 0] = target["encoder.layer.0"][0, 2, 1] = 5.0
    (run,) = compare(reference, {"float64": target})
    assert [layer.where for layer in run.layers] == [
        {"batch": 1, "token": 1, "unit": 0},
        {"batch": 0, "token": 2, "unit": 1},
    ]


def test_a_sample_of_two_stacks_is_compared_with_all_positions_of_the_target() -> None:
    whole = {"decoder.layer.0": np.arange(8.0).reshape(2, 2, 2), "encoder.layer.0": np.arange(12.0).reshape(2, 3, 2)}
    some = sampled(two_stacks(float64=whole), sample=2)
    (run,) = compare(some, {"float64": whole})
    assert run.passed
    assert [layer.count for layer in run.layers] == [4, 4]


def test_what_is_not_finite_in_one_precision_has_no_floor() -> None:
    bad = hidden()
    bad[0, 0, 0] = np.inf
    outputs = {"float32": {"layer.0": hidden()}, "float64": {"layer.0": hidden()}}
    (run, _) = compare(a_trace(float32=outputs["float32"], float64={"layer.0": bad}), outputs)
    assert run.layers[0].floors == {"torch": 0.0}


def test_a_decision_of_each_token_is_found_by_its_token_alone() -> None:
    target = np.zeros((2, 3))
    target[0, 2] = 1.0
    (run,) = compare(a_trace(float64={"replaced_logits": np.zeros((2, 3))}), {"float64": {"replaced_logits": target}})
    assert run.layers[0].where == {"batch": 0, "token": 2}


def test_an_output_that_the_target_lacks_has_its_name() -> None:
    (run,) = compare(a_trace(float64={"layer.0": hidden()}), {"float64": {}})
    assert [layer.name for layer in run.layers] == ["layer.0"]


def test_an_output_passes_with_one_value_and_not_with_none() -> None:
    assert [Difference("layer.0", "float32", count=count, max_abs=0.0).passed for count in (0, 1)] == [False, True]


def test_no_tolerance_passes_an_infinite_difference_and_0_passes_none() -> None:
    for difference in (np.inf, 0.0):
        assert Difference("layer.0", "float32", count=1, max_abs=difference).smallest_atol == difference


def test_a_limit_follows_the_floor_only_where_that_is_larger() -> None:
    floor = HIDDEN_FLOAT32.atol / FLOORS
    trace = a_trace(float32={"layer.0": hidden(floor)}, float64={"layer.0": hidden(0.0)})
    (run,) = compare(trace, {"float32": {"layer.0": hidden(floor)}})
    assert (run.layers[0].limit, run.layers[0].limit_by) == (FLOORS * floor, "fixed")


def test_the_floor_of_a_head_is_that_of_all_its_values() -> None:
    single, double = np.zeros((2, 3)), np.zeros((2, 3))
    single[1, 2] = 0.5
    outputs = {"float32": {"logits": single}, "float64": {"logits": double}}
    (run, _) = compare(a_trace(**outputs), outputs)
    assert run.layers[0].floors == {"mxnet": 0.5, "torch": 0.5}
