"""A model is found wherever it stands in a file, and nothing beside it is lost in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from counts import Calls
from family_forms import EVERY_FORM, FORMS, HEADS, header_with
from headers import Header, classifier, encoder, language_model
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import ConvertError, OptionError, OtherTensorsError, VariantError
from bort_convert.mapping.candidates import Candidate, closest_of, compare_with_file, known_tables
from bort_convert.mapping.fit import Fit, fit
from bort_convert.mapping.given import Given
from bort_convert.mapping.plan import Plan
from bort_convert.mapping.selection import Selection, shown_names, standing
from bort_convert.mapping.source_names import bare_name, prefixed_names
from bort_convert.models.bert import FAMILY as BERT
from bort_convert.models.bort import FAMILY as BORT
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.mapping.family import Family, Table

PATHS = ("bert_model.", "tower.text.", "net.0.", "bert.bert.", "encoder.", "_net.")
KEPT = Selection(keep_extra=True)


def moved(header: Header, path: str) -> Header:
    """The same tensors inside of another network."""
    return {path + name: spec and replace(spec, name=path + name) for name, spec in header.items()}


def tensors(**shapes: tuple[int, ...]) -> Header:
    names = {name.replace("__", "."): shape for name, shape in shapes.items()}
    return {name: TensorSpec(name, "float32", shape) for name, shape in names.items()}


def fit_bort(header: Header, selection: Selection = Selection()) -> Fit:  # noqa: B008 - frozen
    return fit(header, [BORT], heads=2, selection=selection)


def outcome(make: Callable[[], Fit]) -> object:
    """Table, plan and class of a fit, or the error."""
    try:
        found = make()
    except ConvertError as error:
        return type(error), str(error)
    return found.family.name, found.table.title, found.architecture, found.plan


HEAD = tensors(own__fc1__weight=(6, 8), own__fc1__bias=(6,))


@EVERY_FORM
def test_every_form_is_found_under_any_path(family: Family, table: Table, groups: frozenset[str]) -> None:
    header = header_with(table, groups)
    here = outcome(lambda: fit(header, [family], heads=HEADS))
    for path in PATHS:
        there = moved(header, path)
        assert outcome(lambda there=there: fit(there, [family], heads=HEADS)) == here
        with_head = {**there, **HEAD}
        assert outcome(lambda names=with_head: fit(names, [family], heads=HEADS, selection=KEPT)) == here
        if isinstance(here, tuple) and len(here) == 4:
            found = fit(with_head, [family], heads=HEADS, selection=KEPT)
            beside = tuple(path + name for name in fit(header, [family], heads=HEADS).extra)
            assert (found.prefix, found.extra) == (path, (*beside, *HEAD))
            assert found.names == {name: path + name for name in found.names}


def has_prefixed_names(table: Table) -> bool:
    return all(source.prefixed for row in table.rows if not row.tied_to for source in row.sources)


@pytest.mark.parametrize(
    ("family", "table", "groups"), [form for form in FORMS if has_prefixed_names(cast("Table", form.values[1]))]
)
def test_every_form_with_prefixed_names_is_found_in_any_scope(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    header = header_with(table, groups)
    names = prefixed_names(header, table.rows, family.source_name)
    for scope in ("net0_", "mynet2_tower1_", "teacher_"):
        written = {scope + names[name]: spec for name, spec in header.items() if name in names}
        found = fit(written, [family], heads=HEADS)
        assert (found.table, found.plan.groups, found.prefix) == (table, groups, scope)
        taken = {name: scope + prefixed for name, prefixed in names.items()}
        assert found.names == {name: written for name, written in taken.items() if written not in found.extra}
        assert bool(found.extra) == table.keeps_extra


@given(st.lists(st.text(st.characters(exclude_characters=".\n"), min_size=1, max_size=8), max_size=4))
def test_any_path_gives_the_same_plan(parts: list[str]) -> None:
    path = "".join(f"{part}." for part in parts)
    header = language_model()
    found = fit_bort(moved(header, path))
    assert found.plan == fit_bort(header).plan
    assert (found.prefix, found.names) == (bare_name(path), {name: path + name for name in header})


def test_other_tensors_are_refused_in_one_sentence_with_the_ways_on() -> None:
    header = {**moved(encoder(), "bert_model."), **tensors(tag_classifier__weight=(5, 768), tag_classifier__bias=(5,))}
    with pytest.raises(OtherTensorsError) as caught:
        fit_bort(header)
    assert str(caught.value) == (
        "a Bort stands under `bert_model.`; 2 other tensors: tag_classifier.weight (5, 768), tag_classifier.bias (5). "
        "Pass `ignore=['tag_classifier.*']` to leave them out, or `keep_extra=True` to keep them in a file beside the "
        "model. To give them a place in a class, draft a table: `inspect` with `write_table='own.toml'`"
    )
    assert (caught.value.prefix, caught.value.others) == (
        "bert_model.",
        ("tag_classifier.weight", "tag_classifier.bias"),
    )
    alone = fit_bort(header, Selection(ignore=("tag_classifier.*",)))
    assert alone.ignored == dict.fromkeys(caught.value.others, "tag_classifier.*")
    assert alone.plan == fit_bort(encoder()).plan


@pytest.mark.parametrize("count", [1, 5, 3000])
def test_the_sentence_stays_short_and_its_names_printable(count: int) -> None:
    others = {f"\x1b[2J{number}.{'x' * 500}": TensorSpec("x", "float32", (3,)) for number in range(count)}
    with pytest.raises(OtherTensorsError) as caught:
        fit_bort({**language_model(), **others})
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 900
    assert f"{count:,} other tensor{'s' * (count > 1)}: " in message
    them = "it" if count == 1 else "them"
    assert message.endswith(
        f". Pass `ignore=...` to leave {them} out, or `keep_extra=True` to keep {them} in a file beside the model. To "
        f"give {them} a place in a class, draft a table: `inspect` with `write_table='own.toml'`"
    )


def test_up_to_four_patterns_are_written_out() -> None:
    for parts, shown in {"abcd": "['a.*', 'b.*', 'c.*', 'd.*']", "abcde": "..."}.items():
        header = {**language_model(), **tensors(**{f"{part}__{name}": (1,) for part in parts for name in "xy"})}
        with pytest.raises(OtherTensorsError) as caught:
            fit_bort(header)
        assert f" and {2 * len(parts) - 4} more. Pass `ignore={shown}` to leave them out" in str(caught.value)


def test_the_patterns_of_the_sentence_leave_out_the_other_tensors_alone() -> None:
    header = {
        **moved(language_model(), "net.bert."),
        **tensors(net__fc__weight=(1,), **{"head*[0]__w": (1,)}, alone=(2,), net__bert__encoder__adapter=(2,)),
    }
    with pytest.raises(OtherTensorsError) as caught:
        fit_bort(header)
    patterns = ("net.fc.*", "head[*][[]0].*", "alone", "net.bert.encoder.adapter")
    assert f"`ignore={list(patterns)!r}`" in str(caught.value)
    assert fit_bort(header, Selection(ignore=patterns)).prefix == "net.bert."


@pytest.mark.parametrize(
    ("ignore", "message"),
    [
        (("fc.*", "nothing*"), "`ignore=['nothing*']`: matches no tensor of the file; `inspect` lists their names"),
        (
            ("*",),
            (
                "`ignore=['*']`: matches tensors of the model's own: net.word_embed.0.weight, "
                "net.encoder.position_weight, net.encoder.layer_norm.gamma, net.encoder.layer_norm.beta and 32 more; a "
                "Bort stands under `net.`"
            ),
        ),
        (
            ("fc.*", "net.*.1.*.layer_norm.gamma"),
            (
                "`ignore=['net.*.1.*.layer_norm.gamma']`: matches tensors of the model's own: "
                "net.encoder.transformer_cells.1.ffn.layer_norm.gamma; a Bort stands under `net.`"
            ),
        ),
    ],
)
def test_a_pattern_without_a_match_or_with_a_match_in_the_model_is_an_error(
    ignore: tuple[str, ...], message: str
) -> None:
    header = {**moved(language_model(), "net."), **tensors(fc__weight=(1,))}
    with pytest.raises(OptionError) as caught:
        fit_bort(header, Selection(ignore=ignore))
    assert str(caught.value) == message


def test_a_pattern_matches_a_name_with_its_marker_or_without_it() -> None:
    names = ["arg:a", "aux:b", "arg:c"]
    assert Selection(ignore=("arg:a", "b", "[ab]")).ignored(names) == {"arg:a": "arg:a", "aux:b": "b"}


def test_a_prefix_is_that_of_a_model_or_the_beginning_of_one() -> None:
    header = {**moved(encoder(), "net."), **moved(encoder(layers=1), "net.inner.")}
    for prefix, place in {"net.": "net.", "net.i": "net.inner."}.items():
        assert fit_bort(header, Selection(prefix, keep_extra=True)).prefix == place


def test_a_pattern_does_not_make_another_model_of_a_model() -> None:
    header = moved(header_with(BERT.tables[0], frozenset()), "net.")
    with pytest.raises(
        OptionError, match=r"matches tensors of the model's own: net\.token_type_embed\.0\.weight; a BE"
    ):
        fit(header, families().values(), heads=2, selection=Selection(ignore=("*token_type*",)))


def test_an_optional_part_can_be_ignored() -> None:
    found = fit_bort(moved(language_model(), "net."), Selection(ignore=("net.decoder.*",)))
    assert (found.architecture, found.prefix) == ("BertModel", "net.")
    assert set(found.ignored) == {name for name in moved(language_model(), "net.") if "decoder" in name}


def test_two_models_are_both_named_and_the_prefix_decides() -> None:
    header = {**moved(language_model(), "query."), **moved(encoder(layers=1), "doc.")}
    with pytest.raises(VariantError) as caught:
        fit_bort(header)
    assert str(caught.value) == (
        "2 models stand in the file: a Bort stands under `query.`, a Bort stands under `doc.`. Pass `prefix='query.'` "
        "or `prefix='doc.'`, and `ignore=...` or `keep_extra=True` for the tensors of the rest"
    )
    assert (caught.value.missing, caught.value.candidates) == (("prefix",), ("query.", "doc."))
    with pytest.raises(
        OtherTensorsError, match=r"stands under `doc\.`; 42 other tensors: query\.word.*\['query\.\*'\]"
    ):
        fit_bort(header, Selection("doc."))
    for selection in (Selection("doc.", keep_extra=True), Selection(ignore=("query.*",))):
        found = fit_bort(header, selection)
        assert (found.prefix, found.plan.dims["layers"]) == ("doc.", 1)
    with pytest.raises(
        OptionError, match=r"`prefix='doc\.encoder\.'`: no model stands there; a Bort stands under `query\.`, a Bort"
    ):
        fit_bort(header, Selection("doc.encoder."))


def test_a_prefix_takes_the_backbone_out_of_a_form_that_fits_as_a_whole() -> None:
    for path in ("", "net."):
        header = moved(classifier(), path)
        found = fit_bort(header, Selection(f"{path}bort.", keep_extra=True))
        assert (found.table.title, found.architecture, found.prefix) == ("language model", "BertModel", f"{path}bort.")
        assert found.extra == tuple(name for name in header if name.startswith(f"{path}classifier."))


def test_part_of_a_head_is_an_other_tensor() -> None:
    header = {name: spec for name, spec in language_model().items() if name != "decoder.2.gamma"}
    found = fit_bort(header, KEPT)
    assert found.architecture == "BertModel"
    assert found.extra == tuple(name for name in header if name.startswith("decoder."))
    assert not [name for name in found.names if name.startswith("decoder.")]


def test_blocks_of_which_no_name_tells_which_belong_together_are_refused() -> None:
    names = prefixed_names(language_model(), BORT.tables[0].rows, "bort")
    header = {written: language_model()[name] for name, written in names.items()}
    header |= {
        name.replace("bortmodel0", "bortmodel1").replace("encoder0", "encoder3"): s for name, s in header.items()
    }
    with pytest.raises(
        ConvertError, match=r"`bertencoder0_`, `bertencoder3_`, `bortmodel0_`, `bortmodel1_`: no name tel"
    ):
        fit_bort(header)
    found = fit_bort(header, Selection(ignore=("bertencoder0_*", "bortmodel1_*")))
    assert found.names["encoder.position_weight"] == "bertencoder3_position_weight"
    assert found.names["word_embed.0.weight"] == "bortmodel0_word_embed_embedding0_weight"


def test_blocks_with_prefixes_of_their_own_are_one_model() -> None:
    names = prefixed_names(language_model(), BORT.tables[0].rows, "bort")
    own = {name: name.replace("bortmodel0_", "teacher_").replace("bertencoder0_", "layers_") for name in names.values()}
    header = {own[written]: language_model()[name] for name, written in names.items()} | tensors(fc_weight=(2,))
    found = fit_bort(header, KEPT)
    assert (found.prefix, found.extra) == ("", ("fc_weight",))
    assert found.names == {name: own[written] for name, written in names.items()}
    beside = {f"net0_{name}": spec for name, spec in header.items()}
    whole = {**beside, **{f"net0_{written}": language_model()[name] for name, written in names.items()}}
    with pytest.raises(
        VariantError, match=r"^2 models stand in the file: .*`net0_`, .*`net0_`\. Pass `ignore=\.\.\.` for"
    ):
        fit_bort(whole)


@pytest.mark.parametrize("change", ["none", "one less", "half", "one more", "another shape", "other names"])
def test_the_closest_table_is_the_closest_of_all(change: str) -> None:
    tables = known_tables(list(families().values()), Given())
    for form in FORMS[::5]:
        family, table, groups = cast("tuple[Family, Table, frozenset[str]]", form.values)
        header = header_with(table, groups)
        name = min(header)
        if change == "one less":
            del header[name]
        if change == "half":
            header = dict(list(header.items())[::2])
        if change == "one more":
            header["more"] = TensorSpec("more", "float32", (1,))
        if change == "another shape":
            header[name] = TensorSpec(name, "float32", (5, 7, 9))
        if change == "other names":
            header = {f"{number}.x": spec for number, spec in enumerate(header.values())}
        found = compare_with_file(header, tables)
        every = [candidate for known in tables for candidate in compare_with_file(header, [known])]
        assert closest_of(found).distance == closest_of(every).distance, (family.name, table.title)
        fitting = [(candidate.family.name, candidate.table.title) for candidate in every if candidate.fits]
        assert [(candidate.family.name, candidate.table.title) for candidate in found if candidate.fits] == fitting


def test_a_dense_layer_of_the_networks_own_is_not_taken_for_a_head() -> None:
    bert = header_with(BERT.tables[0], frozenset({"pooler"}))
    names = prefixed_names(bert, BERT.tables[0].rows, "bert")
    header = {written: bert[name] for name, written in names.items()}
    (size,) = bert["pooler.bias"].shape  # type: ignore[union-attr] # it has a value
    header |= tensors(mynet0_dense0_weight=(6, size), mynet0_dense0_bias=(6,), lstm0_l0_i2h_weight=(3, 4))
    found = fit(header, [BERT], heads=2, selection=KEPT)
    assert (found.table.title, len(found.extra)) == ("language model", 3)


@pytest.mark.long
@pytest.mark.parametrize("style", ["{}.word_embed.0.weight", "a{}.b.c", "x{}_word_embed_embedding0_weight"])
def test_the_work_is_in_proportion_to_the_names(style: str) -> None:
    spec = TensorSpec("x", "float32", (3,))

    def calls(count: int) -> int:
        header = {**moved(language_model(), "net."), **{style.format(number): spec for number in range(count)}}
        if "_" in style:
            header = {name: spec for name, spec in header.items() if "." not in name}
        with Calls() as made, pytest.raises(ConvertError):
            fit(header, families().values())
        return made.count

    assert calls(12_000) < 5 * calls(3_000)


def standing_bort(prefix: str = "", family: Family = BORT) -> Candidate:
    return Candidate(family, family.tables[0], {}, Plan(), prefix)


def test_a_clause_names_the_families_and_where_the_model_stands() -> None:
    known = families()
    top = " stands at the top of the file"
    assert standing([standing_bort()]) == f"a Bort{top}"
    assert (
        standing([standing_bort(), standing_bort(family=known["roberta"]), standing_bort()])
        == f"a Bort or RoBERTa{top}"
    )
    assert standing([standing_bort(family=known["bert-1.0"])]) == f"GluonNLP 1.0's BERT{top}"
    for name, title in {"electra": "an ELECTRA", "albert": "an ALBERT", "xlnet": "an XLNet", "bert": "a BERT"}.items():
        assert standing([standing_bort(family=known[name])]) == f"{title}{top}"
    assert standing([standing_bort("net\x1b.")], form=True) == r"a Bort (language model) stands under `net\x1b.`"


def test_a_message_shows_four_names_with_their_shapes_and_counts_the_rest() -> None:
    specs = tensors(a=(), b=(2,), c=(2, 3)) | {"d": None}
    assert shown_names(["a", "b", "c", "d"], specs) == "a (), b (2), c (2, 3), d"
    assert shown_names([str(number) for number in range(2004)]) == "0, 1, 2, 3 and 2,000 more"
    assert shown_names(["x" * 61]) == f"{'x' * 60}... (61 characters)"


@pytest.mark.parametrize(("count", "more"), [(4, ""), (5, " and 1 more")])
def test_of_many_models_four_are_shown(count: int, more: str) -> None:
    header = {name: spec for number in range(count) for name, spec in moved(encoder(layers=1), f"m{number}.").items()}
    clauses = ", ".join(f"a Bort stands under `m{number}.`" for number in range(4))
    with pytest.raises(VariantError) as caught:
        fit_bort(header)
    prefixes = " or ".join(f"`prefix='m{number}.'`" for number in range(4))
    assert str(caught.value) == (
        f"{count} models stand in the file: {clauses}{more}. Pass {prefixes}, and `ignore=...` or `keep_extra=True` "
        "for the tensors of the rest"
    )
    assert caught.value.candidates == tuple(f"m{number}." for number in range(count))


def test_a_pattern_for_prefixed_names_ends_at_an_underscore() -> None:
    names = prefixed_names(language_model(), BORT.tables[0].rows, "bort")
    header = {written: language_model()[name] for name, written in names.items()}
    header |= tensors(fc_weight=(2,), fc_bias=(2,), bortmodel0_own_weight=(2,), scale=(1,))
    with pytest.raises(OtherTensorsError, match=r"`ignore=\['fc_\*', 'bortmodel0_own_\*', 'scale'\]`"):
        fit_bort(header)
