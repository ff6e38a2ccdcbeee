from __future__ import annotations

from dataclasses import replace

import pytest
from headers import (
    DIMS,
    RELEASED,
    Header,
    classifier,
    encoder,
    header_of,
    language_model,
    reshaped,
    without,
)

from bort_convert.errors import MappingError, OptionError, VariantError
from bort_convert.mapping.family import ConfigKey
from bort_convert.mapping.fit import Fit, fit
from bort_convert.mapping.selection import Selection
from bort_convert.models import _bert_forms, bert, roberta
from bort_convert.models.bort import CLASSIFIER_WITHOUT_DROPOUT, FAMILY
from bort_convert.models.registry import families


def fit_bort(header: Header, **arguments: object) -> Fit:
    return fit(header, [FAMILY], **arguments)  # type: ignore[arg-type]


def test_the_released_bort_is_recognised_by_its_sizes() -> None:
    found = fit_bort(language_model(**RELEASED))
    assert (found.variant, found.hyperparameters["attention_heads"], found.architecture) == (
        "bort_4_8_768_1024",
        8,
        "BertForMaskedLM",
    )


def test_the_small_bort_is_recognised_by_its_sizes() -> None:
    found = fit_bort(language_model(**RELEASED | {"layers": 2, "intermediate_size": 512}))
    assert (found.variant, found.hyperparameters["attention_heads"]) == ("bort_2_16_512_1024", 16)


def test_the_released_config_is_the_published_one() -> None:
    # The Hub's config.json of amazon/bort, less what transformers itself adds.
    assert fit_bort(language_model(**RELEASED)).config == {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": 50265,
        "hidden_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "intermediate_size": 768,
        "max_position_embeddings": 512,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    }


def test_an_encoder_becomes_the_bare_model_under_its_own_names() -> None:
    found = fit_bort(encoder(**RELEASED))
    assert found.architecture == "BertModel"
    names = {spec.name for step in found.plan.steps for spec in step.targets}
    assert "embeddings.word_embeddings.weight" in names
    assert not any(name.startswith("bert.") for name in names)


@pytest.mark.parametrize("labels", [1, 3])
def test_a_classifier_is_recognised_with_any_number_of_labels(labels: int) -> None:
    found = fit_bort(classifier(**RELEASED | {"labels": labels}))
    assert (found.architecture, found.table.title) == ("BertForSequenceClassification", "classifier")


def test_a_classifier_without_dropout_has_other_numbers() -> None:
    found = fit_bort(header_of(CLASSIFIER_WITHOUT_DROPOUT, RELEASED))
    assert found.table.title == "classifier without dropout"


def test_heads_of_an_unpublished_size_are_missing_until_they_are_given() -> None:
    with pytest.raises(VariantError) as caught:
        fit_bort(language_model())
    assert str(caught.value) == (
        "vocab_size=11 hidden_size=6 max_positions=5 intermediate_size=4 layers=2 match no published Bort "
        "(bort_4_8_768_1024, bort_2_16_512_1024); attention_heads cannot be read from shapes. Pass `heads=N`"
    )
    assert (caught.value.missing, caught.value.candidates) == (("heads",), ())
    found = fit_bort(language_model(), heads=3)
    assert (found.variant, found.hyperparameters["attention_heads"], found.config["num_attention_heads"]) == ("", 3, 3)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("heads", 4, "`heads=4`: expected a number that divides hidden_size=6"),
        ("heads", 0, "`heads=0`: expected a number that divides hidden_size=6"),
        ("heads", -2, "`heads=-2`: expected a number that divides hidden_size=6"),
        ("heads", "2", "`heads='2'`: expected a whole number"),
        ("heads", 2.0, "`heads=2.0`: expected a whole number"),
        ("heads", True, "`heads=True`: expected a whole number"),
        ("layers", "2", "`layers='2'`: expected a whole number"),
        ("layers", 3, "`layers=3`: names and shapes are those of 2 layers. Leave `layers` out"),
        (
            "hyperparameters",
            {"pad_token_id": 11},
            "`hyperparameters={'pad_token_id': 11}`: pad_token_id is 11, and the vocabulary has 11 tokens",
        ),
        (
            "variant",
            "bort_9",
            "`variant='bort_9'`: the file fits bort; expected one of bort_4_8_768_1024, bort_2_16_512_1024",
        ),
        (
            "variant",
            "bort_4_8_768_1024",
            (
                "`variant='bort_4_8_768_1024'`: the file has other sizes: layers is 2, expected 4; intermediate_size "
                "is 4, expected 768; hidden_size is 6, expected 1024; max_positions is 5, expected 512"
            ),
        ),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(option: str, value: object, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        fit_bort(language_model(), **{option: value})
    assert str(caught.value) == message
    assert (caught.value.option, caught.value.value) == (option, value)


def test_a_published_size_has_its_own_heads() -> None:
    header = language_model(**RELEASED)
    assert fit_bort(header, heads=8, variant="bort_4_8_768_1024").variant == "bort_4_8_768_1024"
    with pytest.raises(OptionError) as caught:
        fit_bort(header, heads=16)
    assert str(caught.value) == "`heads=16`: bort_4_8_768_1024 has 8 attention heads. Leave `heads` out"


def test_the_closest_table_is_shown_with_all_disagreements() -> None:
    header = reshaped(without(classifier(), "classifier.3.bias"), "classifier.1.bias", (7,))
    with pytest.raises(MappingError) as caught:
        fit_bort(header, heads=2)
    assert str(caught.value) == (
        "no family fits this file; the closest is bort (classifier), with 2 disagreements:\n"
        "  classifier.1.bias: found shape (7,); axis 'hidden_size' is 7, expected 6 "
        "(hidden_size=6 from bort.word_embed.0.weight)\n"
        "  classifier.3.bias: found nothing, expected shape (3,)\n"
        "Or else a Bort stands under `bort.`; 3 other tensors: classifier.1.weight (6, 6), classifier.1.bias (7), "
        "classifier.3.weight (3, 6). Pass `ignore=['classifier.*']` to leave them out, or `keep_extra=True` to keep "
        "them in a file beside the model. To give them a place in a class, draft a table: `inspect` with "
        "`write_table='own.toml'`"
    )
    assert len(caught.value.disagreements) == 2


def test_a_file_that_holds_no_whole_model_is_refused_with_the_closest_table() -> None:
    with pytest.raises(MappingError) as caught:
        fit_bort(without(language_model(), "encoder.layer_norm.gamma"), heads=2)
    assert str(caught.value) == (
        "no family fits this file; the closest is bort (language model), with 1 disagreement:\n"
        "  encoder.layer_norm.gamma: found nothing, expected shape (6,)"
    )


def test_tensors_of_two_forms_together_are_refused() -> None:
    header = language_model() | classifier()
    with pytest.raises(
        VariantError,
        match=r"^2 models stand in the file: a Bort \(language model\) stands at the top of the file, a Bort "
        r"\(classifier\) stands at the top of the file\. Pass `ignore=\.\.\.` for the tensors of the rest$",
    ):
        fit_bort(header, heads=2)
    assert (
        fit_bort(header, heads=2, selection=Selection(ignore=("bort.*", "classifier.*"))).architecture
        == "BertForMaskedLM"
    )


def test_one_tensor_under_two_names_is_refused() -> None:
    header = language_model()
    header["arg:encoder.position_weight"] = header["encoder.position_weight"]
    with pytest.raises(MappingError, match=r"both mean encoder.position_weight; expected one of them"):
        fit_bort(header, heads=2)


BERT_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_positions": 512,
    "layers": 12,
    "type_vocab_size": 2,
    "labels": 3,
    "intents": 4,
}


def test_the_published_berts_are_recognised_among_all_families() -> None:
    base = fit(header_of(_bert_forms.LANGUAGE_MODEL, BERT_BASE), families().values())
    assert (base.variant, base.architecture) == ("bert_12_768_12", "BertForPreTraining")
    large = fit(
        header_of(_bert_forms.CLASSIFIER, BERT_BASE | {"hidden_size": 1024, "intermediate_size": 4096, "layers": 24}),
        families().values(),
    )
    assert (large.variant, large.hyperparameters["attention_heads"]) == ("bert_24_1024_16", 16)
    assert large.architecture == "BertForSequenceClassification"


def test_the_config_of_bert_base_is_the_published_one() -> None:
    # google-bert/bert-base-uncased on the Hub, with the class that all heads together have.
    assert fit(header_of(_bert_forms.LANGUAGE_MODEL, BERT_BASE), [bert.FAMILY]).config == {
        "architectures": ["BertForPreTraining"],
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }


@pytest.mark.parametrize(
    ("left_out", "architecture"),
    [
        (["decoder."], "BertForNextSentencePrediction"),
        (["decoder.", "classifier."], "BertModel"),
        (["decoder.", "classifier.", "pooler."], "BertModel"),
        (["classifier.", "pooler."], "BertForMaskedLM"),
    ],
)
def test_the_heads_of_a_bert_decide_its_class(left_out: list[str], architecture: str) -> None:
    header = header_of(_bert_forms.LANGUAGE_MODEL, BERT_BASE)
    header = {name: spec for name, spec in header.items() if not name.startswith(tuple(left_out))}
    found = fit(header, families().values())
    assert found.architecture == architecture
    names = {spec.name for step in found.plan.steps for spec in step.targets}
    assert ("pooler.dense.weight" in names) == (architecture == "BertModel" and "pooler." not in left_out)


@pytest.mark.parametrize(
    ("dims", "variant", "architecture"),
    [
        ({"hidden_size": 768, "intermediate_size": 3072, "layers": 12}, "roberta_12_768_12", "RobertaForMaskedLM"),
        ({"hidden_size": 1024, "intermediate_size": 4096, "layers": 24}, "roberta_24_1024_16", "RobertaForMaskedLM"),
        ({"hidden_size": 1024, "intermediate_size": 768, "layers": 4}, "bort_4_8_768_1024", "BertForMaskedLM"),
    ],
)
def test_a_published_size_tells_a_bort_from_a_roberta(dims: dict[str, int], variant: str, architecture: str) -> None:
    found = fit(language_model(**RELEASED | dims), families().values())
    assert (found.variant, found.architecture) == (variant, architecture)


ERNIE_BASE = BERT_BASE | {"max_positions": 513}


@pytest.mark.parametrize("table", range(len(bert.FAMILY.tables)))
def test_positions_tell_a_published_ernie_from_a_published_bert(table: int) -> None:
    assert families()["ernie"].tables == bert.FAMILY.tables
    rows = bert.FAMILY.tables[table].rows
    for dims, variant in ((ERNIE_BASE, "ernie_12_768_12"), (BERT_BASE, "bert_12_768_12")):
        assert fit(header_of(rows, dims), families().values()).variant == variant


def test_of_any_other_size_the_family_is_missing() -> None:
    header = header_of(bert.FAMILY.tables[0].rows, BERT_BASE | {"max_positions": 256})
    with pytest.raises(
        VariantError, match=r"fit more than one family: bert, ernie\. Pass `family=NAME` with"
    ) as caught:
        fit(header, families().values(), heads=12)
    assert (caught.value.missing, caught.value.candidates) == (("family",), ("bert", "ernie"))
    assert fit(header, [families()["ernie"]], heads=12).hyperparameters["head_hidden_act"] == "gelu"
    with pytest.raises(OptionError, match=r"the file has other sizes: max_positions is 256, expected 513"):
        fit(header, families().values(), variant="ernie_12_768_12")


def test_the_config_of_ernie_is_that_of_a_bert_with_relu() -> None:
    found = fit(header_of(bert.FAMILY.tables[0].rows, ERNIE_BASE), families().values()).config
    of_bert = fit(header_of(bert.FAMILY.tables[0].rows, BERT_BASE), families().values()).config
    differing = {name: value for name, value in found.items() if of_bert[name] != value}
    assert found.keys() == of_bert.keys()
    # dmlc/gluon-nlp v0.8.3, model/bert.py, ernie_12_768_12_hparams against bert_12_768_12_hparams.
    assert differing == {"max_position_embeddings": 513, "hidden_act": "relu", "layer_norm_eps": 1e-5}


def test_the_published_distilbert_is_recognised_by_its_sizes_and_becomes_a_bert() -> None:
    dims = RELEASED | {"vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072, "layers": 6}
    found = fit(encoder(**dims), families().values())
    assert (found.variant, found.architecture, found.hyperparameters["attention_heads"]) == (
        "distilbert_6_768_12",
        "BertModel",
        12,
    )
    names = ("model_type", "type_vocab_size", "pad_token_id", "layer_norm_eps", "num_hidden_layers")
    assert [found.config[name] for name in names] == ["bert", 1, 0, 1e-5, 6]
    with pytest.raises(VariantError, match=r"fit more than one family: bort, distilbert, roberta\. Pass `family"):
        fit(encoder(), families().values(), heads=2)


@pytest.mark.parametrize("table", [0, 1])
def test_a_bort_a_roberta_and_a_bert_of_one_size_are_told_apart_or_the_family_is_missing(table: int) -> None:
    dims = {**DIMS, "type_vocab_size": 2}
    berts = header_of(bert.FAMILY.tables[table].rows, dims)
    assert fit(berts, [bert.FAMILY, FAMILY, roberta.FAMILY], heads=2).family.name == "bert"
    for family in (FAMILY, roberta.FAMILY):
        header = header_of(family.tables[table].rows, dims)
        if table == 0:
            with pytest.raises(VariantError, match=r"fit more than one family: bort, roberta\. Pass `family"):
                fit(header, families().values(), heads=2)
        assert fit(header, [family], heads=2).family.name == family.name
        if table == 1:
            assert fit(header, families().values(), heads=2).family.name == family.name


def test_heads_do_not_make_a_roberta_of_a_released_bort() -> None:
    with pytest.raises(OptionError, match=r"bort_4_8_768_1024 has 8 attention heads\. Leave `heads` out$"):
        fit(language_model(**RELEASED), families().values(), heads=16)


def test_wrong_heads_are_refused_before_the_family_is_missing() -> None:
    with pytest.raises(OptionError, match="`heads=4`: expected a number that divides hidden_size=6"):
        fit(language_model(), families().values(), heads=4)


def test_a_variant_names_its_family() -> None:
    with pytest.raises(
        OptionError, match="`variant='roberta_12_768_12'`: the file has other sizes: layers is 2, expec"
    ):
        fit(language_model(), families().values(), variant="roberta_12_768_12")
    with pytest.raises(OptionError) as caught:
        fit(language_model(), families().values(), variant="bert_12_768_12")
    assert caught.value.problem == (
        "the file fits bort, roberta; expected one of bort_4_8_768_1024, bort_2_16_512_1024, roberta_12_768_12, "
        "roberta_24_1024_16"
    )


def test_the_config_of_roberta_base_is_the_published_one() -> None:
    dims = RELEASED | {"hidden_size": 768, "intermediate_size": 3072, "layers": 12}
    # FacebookAI/roberta-base on the Hub; the class counts positions from behind the padding id, hence two more.
    assert fit(language_model(**dims), families().values()).config == {
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        "vocab_size": 50265,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 514,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    }


def test_two_families_that_fit_are_told_apart_by_a_published_size_or_not_at_all() -> None:
    known = [FAMILY, replace(FAMILY, name="other", title="Other", variants=())]
    assert fit(language_model(**RELEASED), known).family.name == "bort"
    with pytest.raises(VariantError, match=r"bort, other. Pass `family=NAME` with one of them$") as caught:
        fit(language_model(), known, heads=2)
    assert (caught.value.missing, caught.value.candidates) == (("family",), ("bort", "other"))
    with pytest.raises(
        VariantError, match=r"bort, other. Pass `family=NAME` with one of them, and `heads=N`$"
    ) as caught:
        fit(language_model(), known)
    assert (caught.value.missing, caught.value.candidates) == (("family", "heads"), ("bort", "other"))
    assert fit(language_model(), known[1:], heads=2).family.name == "other"
    headed = [
        replace(FAMILY, name=name, hyperparameters={**FAMILY.hyperparameters, "attention_heads": 2}) for name in "ab"
    ]
    with pytest.raises(VariantError) as caught:
        fit(language_model(), [*known, *headed])
    assert (caught.value.missing, caught.value.candidates) == (("family",), ("a", "b"))


def test_what_an_exported_network_tells_is_a_hyperparameter_and_is_remembered() -> None:
    shown = {"attention_heads": 3, "layer_norm_eps": 1e-6}
    found = fit_bort(language_model(), told=lambda candidate: shown if candidate.table is FAMILY.tables[0] else {})
    assert found.told == shown
    assert found.told.items() <= found.hyperparameters.items()
    assert "layer_norm_eps" not in found.assumed
    assert fit_bort(language_model(), heads=2).told == {}


def test_a_hyperparameter_that_no_argument_gives_is_named() -> None:
    family = replace(FAMILY, config=(*FAMILY.config, ConfigKey("rope_theta", "rope")))
    with pytest.raises(VariantError, match=r"; rope cannot be read from shapes$") as caught:
        fit(language_model(), [family], heads=2)
    assert caught.value.missing == ()


def test_groups_that_no_class_has_a_place_for_are_refused() -> None:
    table = replace(FAMILY.tables[0], architectures=(("BertModel",),))
    with pytest.raises(MappingError, match="no target class has a place for masked-language-model head together"):
        fit(language_model(), [replace(FAMILY, tables=(table,))], heads=2)
