"""A table compared with a file: how near it comes, which tensors it takes, and what is said where none fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_family import TOY

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import OptionError
from bort_convert.mapping.candidates import (
    Candidate,
    closest_of,
    compare_at_places,
    compare_with_file,
    known_tables,
    largest_parts,
    no_table_fits,
    published_first,
    several_families,
)
from bort_convert.mapping.family import ConfigKey, Table, Variant
from bort_convert.mapping.given import Given
from bort_convert.mapping.ops import Extra
from bort_convert.mapping.plan import Plan, Step
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import merge, optional, pad, rename, tied

ROWS = (
    merge(["a.{layer}", "b.{layer}"], "x.{layer}", "n"),
    rename("words", "words", "v n"),
    tied("decoder", tied_to="words", axes="v n", why="tied"),
    *optional("head", rename("head.{part}.w", "head.{part}.w", "n")),
)
TABLE = Table("model", ROWS, (("ToyModel",), ("ToyHead", "head")))
SHAPES = {"a.0": (2,), "b.0": (2,), "words": (5, 2), "decoder": (5, 2), "head.0.w": (2,)}
SPECS = {name: TensorSpec(name, "float32", shape) for name, shape in SHAPES.items()}
VARIANTS = (Variant("toy_9", {"n": 9}, {}), Variant("toy_2", {"n": 2}, {}, vocabularies=frozenset({7})))
UNEQUAL = {"head": ("n", "v")}
FAMILY = replace(TOY, tables=(TABLE,), variants=VARIANTS)


def candidate(*problems: str, prefix: str = "", beside: int = 0) -> Candidate:
    """The table compared with all of its tensors, which have other names in the file."""
    names = {name: f"net0_{name}" for name in (*SPECS, "unknown")}
    return Candidate(FAMILY, TABLE, names, replace(make_plan(ROWS, SPECS), disagreements=problems), prefix, beside)


def part(*names: str) -> Candidate:
    """The table compared with some tensors, each the source of a step."""
    plan = Plan(tuple(Step((name,), (), Extra()) for name in names))
    return Candidate(FAMILY, TABLE, {name: f"net0_{name}" for name in names}, plan)


def test_a_candidate_takes_sources_and_aliases_and_needs_those_outside_of_optional_groups() -> None:
    whole = candidate()
    assert whole.taken == {f"net0_{name}" for name in SPECS}
    assert whole.required == whole.taken - {"net0_head.0.w"}
    assert part("a.0", "words").taken == part("a.0", "words").required == {"net0_a.0", "net0_words"}


def test_a_size_is_published_if_its_vocabulary_is_too() -> None:
    found = candidate()
    assert (found.variant, found.published) == (VARIANTS[1], None)
    words = replace(found, plan=replace(found.plan, dims={"n": 2, "vocab_size": 7}))
    assert (words.variant, words.published) == (VARIANTS[1], VARIANTS[1])
    assert replace(found, plan=Plan(dims={"n": 2})).variant == VARIANTS[1]
    other = replace(found, plan=Plan(dims={"n": 3}))
    assert (other.variant, other.published) == (None, None)
    assert published_first([other, words, found]) == [words, found]
    assert published_first([other]) == [other]


def test_the_closest_candidate_has_the_fewest_disagreements_and_tensors_beside() -> None:
    near, far = candidate("one", beside=2), candidate("one", "two", "three", "four")
    assert (near.fits, near.distance, far.distance, candidate().fits) == (False, 3, 4, True)
    assert closest_of([far, near]) is near
    assert str(no_table_fits([far, near], "file")) == (
        "no family fits this file; the closest is toy (model), with 1 disagreement and 2 other tensors:\n  one"
    )
    error = no_table_fits([candidate("one", "two", prefix="net\x1b.")], "directory")
    assert str(error) == (
        r"no family fits this directory; the closest is toy (model) under `net\x1b.`, with 2 disagreements:"
        "\n  one\n  two"
    )
    assert error.disagreements == ("one", "two")


def test_families_that_fit_are_named_once_with_the_arguments_that_tell() -> None:
    error = several_families("names fit", ["toy", "other", "toy"], ["heads", "layers", "heads"])
    assert str(error) == (
        "names fit more than one family: toy, other. Pass `family=NAME` with one of them, and `heads=N`, and `layers=N`"
    )
    assert (error.missing, error.candidates) == (("family", "heads", "layers"), ("toy", "other"))


def test_parts_of_a_file_are_the_largest_each_with_all_tables_that_take_it() -> None:
    whole, again, apart = candidate(), candidate(prefix="net."), part("other")
    smaller, nothing = part("a.0", "b.0"), replace(whole, names={})
    assert largest_parts([smaller, whole, apart, nothing, again]) == [[whole, again], [apart]]
    one, other = part("a.0", "b.0", "words"), part("words", "x.0")
    assert largest_parts([other, one]) == [[one], [other]]
    assert largest_parts([]) == []


def test_a_family_counts_if_it_has_what_is_given_and_needs_no_more() -> None:
    padded = replace(TABLE, all_rows=(pad("p", "p", "n", rows=1, after="pad_token_id", why="padding"),))
    needing = replace(FAMILY, title="Needing", tables=(padded,), config=(ConfigKey("p", "n", after="pad_token_id"),))
    ((family, table, rows),) = known_tables([needing, FAMILY], Given(special_token_ids={"bos_token_id": 0}))
    assert (family, table, rows) == (FAMILY, TABLE, TABLE.rows)
    ((_, _, resolved), _) = known_tables([needing, FAMILY], Given(special_token_ids={"pad_token_id": 3}))
    assert resolved == (pad("p", "p", "n", rows=4, why="padding"),)
    with pytest.raises(OptionError) as caught:
        known_tables([needing], Given(special_token_ids={"bos_token_id": 0}))
    assert (
        str(caught.value)
        == "`special_token_ids={'bos_token_id': 0}`: Needing needs pad_token_id, a row of the vocabulary"
    )
    with pytest.raises(OptionError) as caught:
        known_tables([needing], Given())
    assert caught.value.value == {}
    rope = Given(hyperparameters={"rope": 1})
    with pytest.raises(OptionError, match="Needing has no rope; expected one of attention_heads"):
        known_tables([needing, FAMILY], rope)
    turning = replace(FAMILY, hyperparameters={"rope": 2})
    assert known_tables([FAMILY, turning], rope) == [(turning, TABLE, TABLE.rows)]


def test_a_table_is_compared_with_the_whole_file_under_the_names_in_it() -> None:
    (found,) = compare_with_file({f"arg:{name}": spec for name, spec in SPECS.items()}, [(FAMILY, TABLE, ROWS)])
    assert (found.family, found.table, found.prefix, found.beside) == (FAMILY, TABLE, "", 0)
    assert found.names == {name: f"arg:{name}" for name in SPECS}
    assert found.plan == make_plan(ROWS, SPECS)
    (found,) = compare_with_file({"other.x": SPECS["words"]}, [(FAMILY, TABLE, ROWS)])
    assert found.distance == 4
    (found,) = compare_with_file({**SPECS, "arg:words": SPECS["words"]}, [(FAMILY, TABLE, ROWS)])
    assert found.plan.disagreements == ("'arg:words' and 'words' both mean words; expected one of them",)


def test_a_table_that_disagrees_for_sure_where_another_fits_is_not_compared() -> None:
    more = replace(TABLE, all_rows=(*ROWS, rename("own", "own", "n")))
    tables = [(FAMILY, known, known.rows) for known in (more, TABLE, replace(TABLE, title="again"))]
    assert [found.table.title for found in compare_with_file(SPECS, tables)] == ["model", "again"]


def test_sizes_and_groups_that_a_table_has_no_class_for_are_disagreements() -> None:
    table = replace(TABLE, architectures=(("ToyModel",),), equal_sizes={("n", "v"): "one size"}, equal_unless=UNEQUAL)
    problems = ("no target class has a place for head together", "n is 2, and v is 5; expected one size: one size")
    known = [(FAMILY, table, ROWS)]
    (found,) = compare_with_file(SPECS, known)
    assert found.plan.disagreements == problems
    (found,) = compare_at_places(SPECS, known)
    assert found.plan.disagreements == problems


def test_at_a_place_the_groups_that_disagree_are_beside_the_model_and_others_stay() -> None:
    rows = (*ROWS, *(row for group in ("tags", "spans") for row in optional(group, rename(group, group, "n"))))
    table = replace(TABLE, all_rows=rows)
    specs = SPECS | {name: TensorSpec(name, "float32", (3,)) for name in ("tags", "spans", "other")}
    there = {f"net.{name}": spec for name, spec in specs.items()}
    names = {name: f"net.{name}" for name in specs if name != "other"}
    known = [(FAMILY, table, rows)]
    assert compare_at_places(there, known) == [Candidate(FAMILY, table, names, make_plan(rows, SPECS), "net.", 3)]
    del there["net.a.0"], names["a.0"]
    whole = make_plan(rows, {name: specs[name] for name in names})
    assert compare_at_places(there, known) == [Candidate(FAMILY, table, names, whole, "net.", 1)]


def test_a_group_that_the_sizes_need_stays_where_another_one_disagrees() -> None:
    rows = (*ROWS, *optional("tags", rename("tags", "tags", "n")))
    table = replace(TABLE, all_rows=rows, equal_unless=UNEQUAL)
    specs = SPECS | {"tags": TensorSpec("tags", "float32", (3,))}
    (found,) = compare_at_places(specs, [(FAMILY, table, rows)])
    assert (found.plan, found.beside) == (make_plan(rows, SPECS), 1)


def test_blocks_that_may_belong_together_in_several_ways_are_a_disagreement() -> None:
    rows = (rename("a", "a", "n", prefixed="~model#_a"), rename("b", "b", "n", prefixed="~cells#_b"))
    table = replace(TABLE, all_rows=rows)
    written = {"a": "net_model0_a", "b": "net_cells0_b"}
    specs = {name: TensorSpec(name, "float32", (2,)) for name in (*written.values(), "net_cells1_b")}
    problem = (
        "`net_cells0_`, `net_cells1_`: no name tells which of these blocks belong together. Leave out those that do "
        "not, with `ignore=...`"
    )
    plan = make_plan(rows, {name: specs[known] for name, known in written.items()})
    expected = Candidate(FAMILY, table, written, replace(plan, disagreements=(problem,)), "net_")
    assert compare_at_places(specs, [(FAMILY, table, rows)]) == [expected]
