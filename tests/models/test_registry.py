from __future__ import annotations

import pytest
from headers import RELEASED, encoder, header_of, language_model

from bort_convert.errors import OptionError, VariantError
from bort_convert.models import roberta
from bort_convert.models.bort import FAMILY
from bort_convert.models.registry import families, find_family, fit_source


def test_families_are_found_by_their_modules() -> None:
    assert families()["bort"] is FAMILY
    assert list(families()) == sorted(families())
    assert not any(name.startswith("_") for name in families())
    assert "registry" not in families()


def test_a_family_is_found_by_its_name() -> None:
    assert find_family("bort") is FAMILY
    with pytest.raises(OptionError) as caught:
        find_family("llama")
    assert str(caught.value) == f"`family='llama'`: expected one of {', '.join(families())}"


def test_a_source_is_fitted_to_the_family_that_is_named_or_to_any() -> None:
    assert fit_source(language_model(**RELEASED)).family is FAMILY
    assert fit_source(encoder(), family="distilbert", heads=2).family.name == "distilbert"
    with pytest.raises(OptionError, match=r"`family='llama'`: expected one of .*bort, "):
        fit_source(language_model(), family="llama")
    with pytest.raises(OptionError, match=r"`family=''`: expected one of .*bort, "):
        fit_source(language_model(), family="")


def test_a_source_that_fits_but_lacks_arguments_names_them() -> None:
    with pytest.raises(VariantError) as caught:
        fit_source(language_model())
    assert (caught.value.missing, caught.value.candidates) == (("family", "heads"), ("bort", "roberta"))
    with pytest.raises(VariantError) as caught:
        fit_source(language_model(), family="bort")
    assert (caught.value.missing, caught.value.candidates) == (("heads",), ())
    with pytest.raises(VariantError) as caught:
        fit_source(language_model(), family="roberta", heads=2, gluonnlp_version="0.9")
    assert (caught.value.missing, caught.value.candidates) == (("gluonnlp_version",), ("0.9.0", "0.9.1", "0.9.2"))


def test_a_gluonnlp_version_changes_hyperparameters_and_rows() -> None:
    rows = roberta.FAMILY.tables[0].rows
    header = header_of(rows, RELEASED | {"hidden_size": 768, "intermediate_size": 3072, "layers": 12})
    assert fit_source(header).hyperparameters["head_layer_norm_eps"] == 1e-12
    later = fit_source(header, gluonnlp_version="0.9.2")
    assert later.hyperparameters["head_layer_norm_eps"] == 1e-5
    assert "scramble" in {step.op.name for step in later.plan.steps}
    with pytest.raises(OptionError, match=r"`gluonnlp_version='0\.7'`: expected one of 0\.8, 0\.9\.0, "):
        fit_source(header, gluonnlp_version="0.7")
