from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from headers import DIMS, LANGUAGE_MODEL, Header, encoder, header_of, language_model, reshaped, without

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError
from bort_convert.mapping.ops import Drop, Fill
from bort_convert.mapping.plan import Plan, Step
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import (
    Row,
    drop,
    extra,
    fill,
    ignore,
    linear,
    merge,
    pad,
    rename,
    scramble,
    split,
    target_rows,
    tied,
    transpose,
)


def plan_of(header: dict[str, TensorSpec | None]) -> Plan:
    return make_plan(LANGUAGE_MODEL, header)


def test_a_whole_language_model_fits_and_binds_every_axis() -> None:
    plan = plan_of(language_model())
    assert plan.disagreements == ()
    assert plan.dims == {
        name: DIMS[name] for name in ("vocab_size", "hidden_size", "max_positions", "intermediate_size", "layers")
    }
    assert plan.groups == {"masked-language-model head"}
    assert plan.aliases == (("decoder.3.weight", "word_embed.0.weight"),)
    targets = [spec.name for step in plan.steps for spec in step.targets]
    assert len(targets) == len(set(targets)) == 2 + 1 + 2 + 2 * 16 + 5


def test_an_encoder_alone_fits_without_the_head() -> None:
    plan = plan_of(encoder())
    assert plan.disagreements == ()
    assert plan.groups == frozenset()
    assert plan.aliases == ()


@pytest.mark.parametrize("absent", ["word_embed.0.weight", "decoder.3.weight"])
def test_a_tied_tensor_may_have_either_name_alone(absent: str) -> None:
    plan = plan_of(without(language_model(), absent))
    assert plan.disagreements == ()
    (present,) = {"word_embed.0.weight", "decoder.3.weight"} - {absent}
    assert next(step for step in plan.steps if "word_embeddings" in step.targets[0].name).sources == (present,)


def test_a_tied_tensor_without_any_of_its_names_is_missing() -> None:
    plan = plan_of(without(language_model(), "word_embed.0.weight", "decoder.3.weight"))
    assert plan.disagreements == ("word_embed.0.weight: found nothing, expected shape (vocab_size, hidden_size)",)


def test_a_missing_tensor_is_named_with_the_shape_it_should_have() -> None:
    plan = plan_of(without(language_model(), "encoder.transformer_cells.1.proj.bias"))
    assert plan.disagreements == ("encoder.transformer_cells.1.proj.bias: found nothing, expected shape (6,)",)


def test_a_tensor_that_no_row_takes_is_refused() -> None:
    plan = plan_of(language_model() | {"pooler.weight": TensorSpec("pooler.weight", "float32", (6, 6))})
    assert plan.disagreements == ("pooler.weight: found float32 (6, 6), no row of the table takes it",)


def test_a_wrong_size_is_refused_with_the_tensor_that_bound_the_axis() -> None:
    plan = plan_of(reshaped(language_model(), "encoder.layer_norm.beta", (9,)))
    assert plan.disagreements == (
        (
            "encoder.layer_norm.beta: found shape (9,); axis 'hidden_size' is 9, expected 6 "
            "(hidden_size=6 from word_embed.0.weight)"
        ),
    )


def test_a_wrong_number_of_axes_is_refused_with_those_expected() -> None:
    plan = plan_of(reshaped(language_model(), "encoder.layer_norm.beta", (6, 1)))
    assert plan.disagreements == ("encoder.layer_norm.beta: found shape (6, 1), expected 1 axes (hidden_size)",)


def test_every_wrong_axis_of_a_tensor_is_named() -> None:
    plan = plan_of(reshaped(language_model(), "encoder.transformer_cells.1.ffn.ffn_1.weight", (9, 8)))
    (problem,) = plan.disagreements
    assert problem.endswith(
        "found shape (9, 8); "
        "axis 'intermediate_size' is 9, expected 4 "
        "(intermediate_size=4 from encoder.transformer_cells.0.ffn.ffn_1.weight); "
        "axis 'hidden_size' is 8, expected 6 (hidden_size=6 from word_embed.0.weight)"
    )
    plan = plan_of(reshaped(language_model(), "word_embed.0.weight", (6,)))
    assert "word_embed.0.weight: found shape (6,), expected 2 axes (vocab_size, hidden_size)" in plan.disagreements


def test_a_square_feed_forward_matrix_is_refused_with_both_sizes() -> None:
    header = language_model()
    name = "encoder.transformer_cells.0.ffn.ffn_2.weight"
    plan = plan_of(reshaped(header, name, (6, 6)))
    assert plan.disagreements == (
        (
            f"{name}: found shape (6, 6); axis 'intermediate_size' is 6, expected 4 "
            "(intermediate_size=4 from encoder.transformer_cells.0.ffn.ffn_1.weight)"
        ),
    )


def test_half_a_head_is_refused() -> None:
    plan = plan_of(without(language_model(), "decoder.2.gamma", "decoder.2.beta", "decoder.3.bias"))
    rest = "(the file has other parts of the masked-language-model head)"
    assert plan.disagreements == (
        f"decoder.3.bias: found nothing, expected shape (11,) {rest}",
        f"decoder.2.gamma: found nothing, expected shape (6,) {rest}",
        f"decoder.2.beta: found nothing, expected shape (6,) {rest}",
    )


def test_an_output_matrix_alone_is_half_a_head() -> None:
    header = encoder() | {"decoder.3.weight": TensorSpec("decoder.3.weight", "float32", (11, 6))}
    assert len(plan_of(header).disagreements) == 5


def test_a_tied_tensor_of_another_shape_or_dtype_is_refused() -> None:
    plan = plan_of(reshaped(language_model(), "decoder.3.weight", (11, 6), "float16"))
    assert plan.disagreements == (
        (
            "decoder.3.weight: found float16 (11, 6), "
            "expected float32 (11, 6), as word_embed.0.weight, which it is tied to"
        ),
    )


def test_a_gap_between_layers_is_refused() -> None:
    header = {name.replace("cells.1.", "cells.2."): spec for name, spec in language_model().items()}
    assert plan_of(header).disagreements == ("layers: found the numbers 0, 2; expected 0 to 1, no gap",)


def test_of_many_layers_with_a_gap_the_first_20_are_shown() -> None:
    rows = (rename("h.{layer}", "h.{layer}", "n"),)
    header: Header = {f"h.{layer}": TensorSpec(f"h.{layer}", "float32", (2,)) for layer in (*range(21), 22)}
    shown = ", ".join(map(str, range(20)))
    assert make_plan(rows, header).disagreements == (f"layers: found the numbers {shown}; expected 0 to 21, no gap",)


def test_a_file_without_layers_is_refused() -> None:
    header = {name: spec for name, spec in language_model().items() if "cells" not in name}
    (problem,) = plan_of(header).disagreements
    assert problem.startswith("layers: found none; expected names such as encoder.transformer_cells.{layer}.")


def test_integers_and_records_without_a_value_are_refused() -> None:
    header = reshaped(language_model(), "encoder.position_weight", (5, 6), "int32") | {
        "decoder.2.beta": None,
        "x": None,
    }
    assert plan_of(header).disagreements == (
        "encoder.position_weight: found int32 (5, 6), expected a floating-point dtype",
        (
            "decoder.2.beta: found a record without a value, expected shape (6,) "
            "(the file has other parts of the masked-language-model head)"
        ),
        "x: found a record without a value, no row of the table takes it",
    )


def test_all_disagreements_come_at_once_with_the_names_in_the_file() -> None:
    header = without(language_model(), "decoder.0.bias")
    header["encoder.layer_norm.beta"] = TensorSpec("bertencoder0_bertlayernorm0_beta", "float32", (9,))
    header["extra"] = TensorSpec("arg:extra", "float32", (1,))
    problems = plan_of(header).disagreements
    assert len(problems) == 3
    assert problems[0].startswith(
        "encoder.layer_norm.beta (bertencoder0_bertlayernorm0_beta in the file): found shape (9,)"
    )
    assert problems[1].startswith("decoder.0.bias: found nothing")
    assert problems[2] == "arg:extra: found float32 (1,), no row of the table takes it"


def test_an_initialised_tensor_takes_the_dtype_of_the_checkpoint() -> None:
    plan = make_plan(LANGUAGE_MODEL, header_of(LANGUAGE_MODEL, DIMS, "float16"))
    (initialised,) = (step for step in plan.steps if not step.sources)
    assert initialised.targets[0].dtype == "float16"
    ((_, values),) = Plan((initialised,)).forward({})
    assert (values.dtype, values.shape, values.any()) == (np.float16, (1, 6), False)


def spec(name: str, *shape: int, dtype: str = "float32") -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, dtype, shape)}


def test_a_table_of_constants_alone_is_float32() -> None:
    (step,) = make_plan((fill("types", "1 6", 0.0, why="no types"),), {}).steps
    assert step.targets == (TensorSpec("types", "float32", (1, 6)),)


def test_each_target_has_the_dtype_of_its_own_source() -> None:
    header = spec("a", 2, dtype="float16") | spec("b", 2) | spec("c", 2, dtype="float64")
    plan = make_plan(tuple(rename(name, name, "n") for name in "abc"), header)
    assert [step.targets[0].dtype for step in plan.steps] == ["float16", "float32", "float64"]


def test_a_step_has_the_structural_names_whatever_the_file_calls_them_and_the_reason_of_its_row() -> None:
    rows = (rename("a", "x", "n"), pad("b", "y", "n", rows=2, why="two rows for padding"))
    header = {name: TensorSpec(f"net0_{name}", "float32", (2,)) for name in "ab"}
    steps = make_plan(rows, header).steps
    assert [(step.sources, step.targets[0].name, step.why) for step in steps] == [
        (("a",), "x", ""),
        (("b",), "y", "two rows for padding"),
    ]


def test_only_a_step_with_one_target_of_the_same_bytes_is_copied() -> None:
    rows = (rename("a", "x", "n"), split("b", ["y", "z"], "2*n"), transpose("c", "u", "n m"))
    plan = make_plan(rows, spec("a", 2) | spec("b", 4) | spec("c", 2, 3))
    assert [step.copied for step in plan.steps] == [True, False, False]


BESIDE: tuple[Row, ...] = (rename("a", "bert.a", "n"), extra("head", "n"), ignore("cache", "n"), rename("b", "b", "n"))


def test_a_plan_without_a_prefix_in_another_dtype_and_without_what_is_no_part_of_the_model() -> None:
    plan = make_plan(BESIDE, spec("a", 2) | spec("head", 2) | spec("cache", 2) | spec("b", 2))
    assert plan.disagreements == ()
    assert (plan.beside("kept"), plan.beside("ignored"), plan.beside("")) == (("head",), ("cache",), ("a", "b"))
    changed = plan.of_model().without_prefix("bert.").with_dtype("float16")
    assert [step.sources for step in changed.steps] == [("a",), ("b",)]
    assert [step.targets for step in changed.steps] == [
        (TensorSpec("a", "float16", (2,)),),
        (TensorSpec("b", "float16", (2,)),),
    ]
    assert (changed.dims, len(plan.steps), plan.steps[0].targets[0].name) == (plan.dims, 4, "bert.a")


def test_changed_values_in_front_are_refused_with_the_name_of_the_target_unless_no_token_reads_them() -> None:
    plan = make_plan((pad("positions", "p.weight", "n m", rows=2, why="padding"),), spec("positions", 3, 2))
    target = {"p.weight": np.ones((5, 2), np.float32)}
    with pytest.raises(MappingError, match=r"^p\.weight: the first 2 rows"):
        list(plan.revert(target))
    ((name, array),) = plan.lenient().revert(target)
    assert (name, array.shape) == ("positions", (3, 2))


def test_sizes_that_no_axis_shows_are_bound_in_the_operations() -> None:
    plan = Plan((Step((), (TensorSpec("x", "float16", (4,)),), Fill("heads", 1.0, "float16"), "why"),))
    assert plan.bind({"heads": 4}) == Plan((replace(plan.steps[0], op=Fill("4", 1.0, "float16")),))


ROWS = (
    rename("embed", "tokens", "vocab_size hidden_size"),
    tied("decoder", tied_to="embed", axes="vocab_size hidden_size", why="tied"),
    pad("positions", "positions", "max_positions hidden_size", rows=2, why="two rows for padding"),
    fill("types", "1 hidden_size", 0.0, why="no types"),
    split("cell.{layer}.qkv", [f"layer.{{layer}}.{part}" for part in "qkv"], "3*hidden_size hidden_size"),
    merge(["cell.{layer}.a", "cell.{layer}.b"], "layer.{layer}.ab", "hidden_size"),
    transpose("cell.{layer}.ffn", "layer.{layer}.ffn", "intermediate_size hidden_size"),
    *linear("out", "out", "labels hidden_size"),
)


def test_a_plan_of_every_operation_runs_forwards_and_backwards_bit_for_bit() -> None:
    rng = np.random.default_rng(7)
    shapes = {"embed": (5, 2), "positions": (4, 2), "out.weight": (3, 2), "out.bias": (3,)}
    for layer in range(2):
        shapes |= {
            f"cell.{layer}.qkv": (6, 2),
            f"cell.{layer}.a": (2,),
            f"cell.{layer}.b": (2,),
            f"cell.{layer}.ffn": (7, 2),
        }
    source = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    source["decoder"] = source["embed"]
    plan = make_plan(ROWS, {name: TensorSpec(name, "float32", array.shape) for name, array in source.items()})
    assert plan.disagreements == ()
    target = dict(plan.forward(source))
    assert {spec.name: spec.shape for step in plan.steps for spec in step.targets} == {
        name: array.shape for name, array in target.items()
    }
    assert target["layer.1.k"].tolist() == source["cell.1.qkv"][2:4].tolist()
    back = dict(plan.revert(target))
    assert {name: array.tobytes() for name, array in back.items()} == {n: a.tobytes() for n, a in source.items()}


def test_gradients_go_backwards_through_every_operation() -> None:
    rng = np.random.default_rng(8)
    shapes = {"embed": (5, 2), "decoder": (5, 2), "positions": (4, 2), "cache": (2,)}
    for layer in range(2):
        shapes |= {f"cell.{layer}.qkv": (6, 2), f"cell.{layer}.a": (2,), f"cell.{layer}.b": (2,)}
        shapes |= {f"cell.{layer}.ffn": (7, 2)}
    rows = (*ROWS[:-2], drop("cache", "hidden_size", why="a constant"))
    plan = make_plan(rows, {name: TensorSpec(name, "float32", shape) for name, shape in shapes.items()})
    assert plan.disagreements == ()
    gradients = {spec.name: rng.standard_normal(spec.shape) for step in plan.steps for spec in step.targets}
    pulled = dict(plan.pullback(gradients))
    assert {name: array.shape for name, array in pulled.items()} == {n: s for n, s in shapes.items() if n != "cache"}
    assert pulled["decoder"] is pulled["embed"]
    assert list(pulled).index("decoder") == list(pulled).index("embed") + 1
    assert pulled["positions"].tolist() == gradients["positions"][2:].tolist()  # the rows in front are not zero
    assert pulled["cell.1.qkv"][2:4].tolist() == gradients["layer.1.k"].tolist()
    assert pulled["cell.0.b"].tolist() == gradients["layer.0.ab"][2:].tolist()
    assert pulled["cell.0.ffn"].tolist() == gradients["layer.0.ffn"].T.tolist()


def test_gradients_of_what_follows_a_source_that_was_left_out_are_there() -> None:
    rows = (drop("cache", "n", why="a constant"), rename("a", "b", "n"))
    plan = make_plan(rows, spec("cache", 2) | spec("a", 2))
    assert [name for name, _ in plan.pullback({"b": np.ones(2)})] == ["a"]


def test_a_source_that_an_operation_cannot_take_is_a_disagreement() -> None:
    plan = make_plan((split("qkv", ["q", "k", "v"], "n"),), {"qkv": TensorSpec("net0_qkv", "float32", (7,))})
    assert plan.disagreements == ("qkv (net0_qkv in the file): 7 rows do not divide into 3 equal parts",)
    rows = (scramble(["q", "k"], ["query", "key"], "n m", prefixed=["", ""], why="a bug"),)
    assert make_plan(rows, spec("q", 2, 3) | spec("k", 2, 3)).disagreements == (
        "q, k: expected 2 vectors of one size, found (2, 3), (2, 3)",
    )


def test_an_axis_that_is_no_multiple_is_refused() -> None:
    plan = make_plan((split("qkv", ["q", "k", "v"], "3*hidden_size"),), {"qkv": TensorSpec("qkv", "float32", (7,))})
    assert plan.disagreements == ("qkv: found shape (7,); axis '3*hidden_size' is 7, expected a multiple of 3",)
    plan = make_plan((rename("a", "b", "2 hidden_size"),), {"a": TensorSpec("a", "float32", (3, 7))})
    assert plan.disagreements == ("a: found shape (3, 7); 3 where 2 is expected",)


@pytest.mark.parametrize("size", [1, 4])
def test_an_axis_that_is_no_multiple_plus_the_offset_is_refused(size: int) -> None:
    plan = make_plan((rename("a", "b", "3*n+2"),), {"a": TensorSpec("a", "float32", (size,))})
    assert plan.disagreements == (f"a: found shape ({size},); axis '3*n+2' is {size}, expected a multiple of 3 plus 2",)


def test_an_axis_with_an_offset_binds_the_size_without_it() -> None:
    header = {name: TensorSpec(name, "float32", (size,)) for name, size in {"a": 8, "b": 3}.items()}
    plan = make_plan((rename("a", "x", "n+2"), rename("b", "y", "n")), header)
    assert plan.disagreements == ("b: found shape (3,); axis 'n' is 3, expected 6 (n=6 from a)",)


def test_an_axis_is_not_smaller_than_its_offset_and_may_be_its_offset_alone() -> None:
    assert make_plan((rename("a", "x", "n+2"),), spec("a", 2)).dims == {"n": 0}
    assert make_plan((rename("a", "x", "n+2"),), spec("a", 1)).disagreements == (
        "a: found shape (1,); axis 'n+2' is 1, expected a multiple of 1 plus 2",
    )


def test_a_size_beyond_a_floats_precision_is_bound_exactly() -> None:
    header = {"a": TensorSpec("a", "float32", (3 * 2**60 + 6,))}
    assert make_plan((rename("a", "x", "3*n+3"),), header).dims == {"n": 2**60 + 1}


def test_sources_of_one_target_must_have_one_dtype() -> None:
    header = {"a": TensorSpec("a", "float32", (2,)), "b": TensorSpec("b", "float16", (2,))}
    assert make_plan((merge(["a", "b"], "c", "n"),), header).disagreements == (
        "a, b: expected one dtype for all of them",
    )


def test_only_a_constant_of_positive_zeros_is_zero_in_every_byte() -> None:
    header = {"a": TensorSpec("a", "float32", (2,))}
    rows = (rename("a", "b", "n"), *(fill(str(value), "n", value, why="absent") for value in (0.0, -0.0, 1.0)))
    assert [step.zero for step in make_plan(rows, header).steps] == [False, True, False, False]


def test_a_source_that_was_left_out_cannot_be_restored() -> None:
    plan = make_plan((drop("cache", "n", why="a constant"),), {"cache": TensorSpec("cache", "float32", (2,))})
    assert plan.disagreements == ()
    assert dict(plan.forward({"cache": np.zeros(2)})) == {}
    with pytest.raises(MappingError, match=r"^cache: the source was left out \(a constant\) and can"):
        list(plan.revert({}))
    targets = (TensorSpec("x", "float32", (2,)), TensorSpec("y", "float32", (2,)))
    two = Plan((Step(("cache",), targets, Drop("a constant")),))
    with pytest.raises(MappingError, match=r"^x, y: the source was left out \(a constant\) and can"):
        list(two.revert({"x": np.zeros(2), "y": np.zeros(2)}))


def test_names_from_a_file_are_escaped_in_messages() -> None:
    header = language_model() | {
        "a": TensorSpec("a\x1b[2J\n", "float32", (1,)),
        "b": TensorSpec("b" * 9999, "float32", (1,)),
    }
    escaped, cut = plan_of(header).disagreements
    assert escaped.startswith(r"a\x1b[2J\n: found float32 (1,)")
    assert cut.startswith("b" * 120 + "... (9,999 characters): found float32 (1,)")


def test_a_plan_lists_one_layer_after_the_other() -> None:
    layers = [
        step.targets[0].name.split(".")[3]
        for step in plan_of(language_model()).steps
        if ".layer." in step.targets[0].name
    ]
    assert layers == sorted(layers)


STACKED = (
    rename("cells.{layer}.ffn.{ffn}.w", "h.{layer}.inner.{ffn}.w", "n"),
    rename("cells.{layer}.ffn.{last_ffn}.w", "h.{layer}.w", "n"),
)


def stacked(*numbers: int) -> Header:
    names = [f"cells.{layer}.ffn.{number}.w" for layer in range(2) for number in numbers]
    return {name: TensorSpec(name, "float32", (3,)) for name in names}


def test_the_end_of_a_list_within_each_layer_goes_elsewhere() -> None:
    plan = make_plan(STACKED, stacked(0, 1, 2))
    assert plan.disagreements == ()
    assert plan.dims == {"n": 3, "layers": 2, "ffns": 2}
    assert len(plan.steps) == 6
    assert {step.targets[0].name: step.sources[0] for step in plan.steps} == {
        **{f"h.{layer}.inner.{number}.w": f"cells.{layer}.ffn.{number}.w" for layer in range(2) for number in range(2)},
        **{f"h.{layer}.w": f"cells.{layer}.ffn.2.w" for layer in range(2)},
    }
    targets = {target.name: target for step in plan.steps for target in step.targets}
    assert make_plan(target_rows(STACKED), targets).dims == plan.dims
    numbered = {row.sources[0].name.format(**numbers) for row in STACKED for numbers in row.numbers(plan.dims)}
    assert numbered == {*stacked(0, 1, 2)}


def test_gaps_and_missing_parts_of_a_list_within_a_layer_are_disagreements() -> None:
    first, *others = make_plan(STACKED, stacked(0, 2)).disagreements
    assert first == "ffns: found the numbers 0, 2; expected 0 to 1, no gap"
    assert not any("gap" in line for line in others)
    assert make_plan(STACKED[::-1], stacked(0, 2)).disagreements[0] == first
    header = stacked(0, 1, 2)
    del header["cells.1.ffn.2.w"]
    assert make_plan(STACKED, header).disagreements == ("cells.1.ffn.2.w: found nothing, expected shape (3,)",)


TWICE_TIED = (
    rename("a", "t", "n"),
    tied("b", tied_to="a", axes="n", why="tied"),
    tied("c", tied_to="a", axes="n", why="tied"),
)


@pytest.mark.parametrize("names", ["a", "b", "c", "ab", "ac", "bc", "abc"])
def test_any_of_three_names_of_a_tied_tensor_will_do_and_all_come_back(names: str) -> None:
    plan = make_plan(TWICE_TIED, {name: TensorSpec(name, "float32", (2,)) for name in names})
    assert plan.disagreements == ()
    assert plan.aliases == tuple((name, names[0]) for name in names[1:])
    values = np.arange(2, dtype=np.float32)
    (target,) = plan.forward({names[0]: values})
    assert target[0] == "t"
    for way_back in (plan.revert, plan.pullback):
        assert [name for name, _ in way_back({"t": values})] == list(names)


PRODUCT = (rename("bias", "bias", "32 heads"), rename("query", "query", "heads*head_dim width"))


def test_a_product_of_two_sizes_binds_the_second_by_the_first() -> None:
    header = {name: TensorSpec(name, "float32", shape) for name, shape in {"bias": (32, 4), "query": (24, 9)}.items()}
    assert make_plan(PRODUCT, header).dims == {"heads": 4, "head_dim": 6, "width": 9}
    header["query"] = TensorSpec("query", "float32", (25, 9))
    assert make_plan(PRODUCT, header).disagreements == (
        "query: found shape (25, 9); axis 'heads*head_dim' is 25, expected a multiple of 4",
    )


def test_a_product_with_a_size_of_zero_is_refused() -> None:
    assert make_plan(PRODUCT, spec("bias", 32, 0) | spec("query", 0, 9)).disagreements == (
        "query: found shape (0, 9); axis 'heads*head_dim' is 0, expected a multiple of 0",
    )
