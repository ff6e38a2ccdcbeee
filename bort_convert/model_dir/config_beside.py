"""Fit a checkpoint with the config of GluonNLP 1.0 beside it, which says what names and shapes do not show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bort_convert.errors import FormatError, MappingError, OptionError, VariantError
from bort_convert.files.remote import read_start
from bort_convert.mapping.candidates import known_tables
from bort_convert.mapping.family import GLUONNLP_1, UNSEEN_SIZES
from bort_convert.mapping.given import Given
from bort_convert.mapping.original_config import MOST_BYTES, OriginalConfig, parse_config
from bort_convert.mapping.selection import Selection, select
from bort_convert.models.registry import families, fit_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bort_convert.dtypes import TensorSpec
    from bort_convert.files.remote import Place, RemotePath
    from bort_convert.mapping.fit import Fit

    Specs = Mapping[str, TensorSpec | None]


def fit_file(path: Place, specs: Specs, *, recorded: OriginalConfig | None = None, **choices: Any) -> Fit:  # noqa: ANN401 - those of fit_source
    """Fit a checkpoint; one of GluonNLP 1.0 with the config beside it.

    Args:
        path: the file.
        specs: name in the file -> dtype and shape; None for a record without a value.
        recorded: what a config said when the checkpoint was converted, for a file without one.
        choices: the other arguments of `fit_source`; what a user gives counts before the config.

    Raises:
        FormatError: the config of a model of GluonNLP 1.0 cannot be read.
        MappingError: the config contradicts the checkpoint, or no table fits.
        OptionError: see `fit_source`.
        VariantError: see `fit_source`; a config that says what is missing is counted in.
    """
    try:
        fit = fit_source(specs, **choices)
    except VariantError:
        config = (config_beside(path) or recorded) if _is_of_1_0(specs, choices) else None
        if config is None:
            raise
        return _fit_with(config, specs, choices)
    config = (config_beside(path) or recorded) if fit.family.versions == GLUONNLP_1 else None
    return _fit_with(config, specs, choices) if config else fit


def _is_of_1_0(specs: Specs, choices: dict[str, Any]) -> bool:
    """True if a table of a model of GluonNLP 1.0 fits."""
    later = [family for family in families().values() if family.versions == GLUONNLP_1]
    selection = Selection(choices.get("prefix"), tuple(choices.get("ignore") or ()), keep_extra=True)
    try:
        select(specs, known_tables(later, Given()), selection)
    except (MappingError, OptionError, VariantError):
        return False
    return True


def _fit_with(config: OriginalConfig, specs: Specs, choices: dict[str, Any]) -> Fit:
    """Fit a model of GluonNLP 1.0 with what its config says."""
    if config.scales and any(name.startswith("mlm_decoder.") for name in specs):
        config = config.of_generator()
    sizes = {
        argument: config.values[name]
        for name, argument in UNSEEN_SIZES.items()
        if name in config.values and choices.get(argument) is None
    }
    try:
        fit = fit_source(specs, **{**choices, **sizes})
        own = {name: config.values[name] for name in fit.family.hyperparameters if name in config.values}
        given = {**own, **(choices.get("hyperparameters") or {})}
        fit = fit_source(specs, **{**choices, **sizes, "family": fit.family.name, "hyperparameters": given})
    except OptionError as error:
        if error.option not in {*sizes, "hyperparameters"} or error.value == choices.get(error.option):
            raise
        raise MappingError(f"{config.name}, beside the file, contradicts it: {error.problem}") from error
    if problems := config.problems({**fit.hyperparameters, **fit.plan.dims}):
        raise MappingError(f"{config.name}, beside the file, contradicts it; correct it, or move it away:", problems)
    return replace(fit, original_config=config)


def config_beside(checkpoint: Place) -> OriginalConfig | None:
    """Read the config beside a checkpoint: that of its own name, or else the only `model*.yml` in its folder.

    Raises:
        FormatError: the file cannot be read, or is no such config.
    """
    own = checkpoint.with_suffix(".yml")
    beside = checkpoint.parent.glob("model*.yml")
    candidates: list[Path | RemotePath] = [own] if own.is_file() else sorted(beside, key=str)
    if len(candidates) != 1:
        return None
    (path,) = candidates
    try:
        content = read_start(path, MOST_BYTES + 1)
        text = content.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    if len(content) > MOST_BYTES:
        raise FormatError(f"{path}: has more than {MOST_BYTES:,} bytes; expected a config of GluonNLP 1.0")
    return parse_config(path.name, text)
