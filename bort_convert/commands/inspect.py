"""Inspect a `.params` file from its headers alone: arrays, model family, and the outcome of a conversion."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING

from bort_convert.arguments import version_argument
from bort_convert.errors import ConvertError, MappingError, OptionError, VariantError
from bort_convert.files.atomic import new_file, write_text
from bort_convert.mapping.family import stock_differences
from bort_convert.mapping.table_draft import draft_table
from bort_convert.model_dir.config import target_config
from bort_convert.model_dir.config_beside import fit_file
from bort_convert.model_dir.own_table import open_table
from bort_convert.model_dir.ownership import reason_to_keep_file
from bort_convert.model_dir.published import check_convertible, published_file
from bort_convert.models.registry import families, find_family
from bort_convert.params import MAX_ARRAYS, TensorInfo, open_params
from bort_convert.weights.statistics import statistics_of_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.arguments import FamilyName
    from bort_convert.dtypes import Hyperparameter, TensorSpec
    from bort_convert.mapping.fit import Fit
    from bort_convert.weights.statistics import Statistics
    from bort_convert.zoo import ZooEntry


@dataclass(frozen=True)
class Inspection:
    """Outcome of `inspect`.

    Attributes:
        path: the file.
        kind: "list" (MXNet's own format), "zip" or "npy" (MXNet 2).
        note: the place of the arrays within the file, unless they are at its top.
        size: bytes of the file.
        arrays: its arrays, in their order.
        fit: the table that fits, and its plan; None if no table fits or an argument is missing.
        misfit: the error that a conversion would end in: the disagreements with the closest table, or the argument that
            is missing; None if a table fits.
        published: the file that GluonNLP published and that this is, by its SHA-1; None if it is none of them.
        values: name -> statistics of an array's values; empty unless they were requested.
        draft: path of the table that was drafted, "" for none.

    Examples:
        >>> inspection = bort_convert.inspect("fixtures/cnn_tiny.params")
        >>> inspection.fit is None, len(inspection.arrays), inspection.arrays[0].name
        (True, 8, 'arg:cnn_conv0_weight')
    """

    path: str
    kind: str
    note: str
    size: int
    arrays: tuple[TensorInfo, ...]
    fit: Fit | None
    misfit: ConvertError | None
    published: ZooEntry | None = None
    values: Mapping[str, Statistics] = field(default_factory=dict)
    draft: str = ""

    @property
    def parameters(self) -> int:
        """Number of values in all arrays; a tied tensor counts once if the family is known."""
        aliases = {self.fit.names[name] for name, _ in self.fit.plan.aliases} if self.fit else set()
        return sum(prod(info.shape) for info in self.arrays if info.dtype is not None and info.name not in aliases)

    def to_dict(self) -> dict[str, object]:
        """The inspection as JSON data."""
        return {
            "path": self.path,
            "kind": self.kind,
            "note": self.note,
            "size": self.size,
            "parameters": self.parameters,
            "arrays": [
                {
                    "name": info.name,
                    "shape": info.shape,
                    "dtype": info.dtype,
                    "storage": info.storage,
                    "offset": info.offset,
                    **({"values": asdict(self.values[info.name])} if info.name in self.values else {}),
                }
                for info in self.arrays
            ],
            "fit": _fit_dict(self.fit) if self.fit else None,
            "misfit": str(self.misfit) if self.misfit else None,
            "published": self.published.to_dict() if self.published else None,
            "draft": self.draft,
        }


def inspect(
    source: str | os.PathLike[str],
    *,
    family: FamilyName | None = None,
    table: str | os.PathLike[str] | None = None,
    variant: str | None = None,
    heads: int | None = None,
    layers: int | None = None,
    gluonnlp_version: str | None = None,
    producer: str | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    keep_extra: bool = False,
    symbol: str | os.PathLike[str] | None = None,
    recognise: bool = True,
    values: bool = False,
    write_table: str | os.PathLike[str] | None = None,
    max_arrays: int = MAX_ARRAYS,
) -> Inspection:
    """Inspect any `.params` file; values are read, and a table is drafted, only on request.

    Args:
        source: a `.params` file, or an archive or a directory that holds one; or a URL, of which headers alone are
            fetched.
        family: name of the one model family to try.
        table: a TOML file with a table of your own, to try no other; see `convert`.
        variant: name of the published size that the file must have.
        heads: number of attention heads, for a size that was never published.
        layers: number of layers, for a size of ALBERT that was never published: its layers share their weights.
        gluonnlp_version: version of gluonnlp that trained the checkpoint; see `convert`.
        producer: old name of `gluonnlp_version`.
        hyperparameters: properties that neither the file nor a published size tells; see `convert`.
        prefix: place of the model, where several stand in the file; see `convert`.
        ignore: patterns of names of tensors that are left out; see `convert`.
        keep_extra: accept other tensors than the model's; see `convert`.
        symbol: an exported network that tells hyperparameters; see `convert`.
        recognise: tell by its SHA-1 if the source is a file that GluonNLP published; a file of such a size is read
            whole for that.
        values: read every value, and compute statistics of each array.
        write_table: a TOML file to write, for a source that no family takes: the draft of a table for it, which
            `convert` takes as `table`. `family` and `prefix` choose where several come into question.
        max_arrays: see `open_params`.

    Raises:
        FormatError: the file cannot be read.
        OptionError: both `gluonnlp_version` and `producer` are given, or a table is wrong or not needed. Other wrong
            arguments become the `misfit`.
        MappingError: a table is to be drafted, and no family has such a backbone.
        OutputError: the draft cannot be written.

    Examples:
        >>> inspection = bort_convert.inspect("fixtures/bort_4_8_24_32.params", family="bort", heads=8)
        >>> inspection.fit.family.title, inspection.kind
        ('Bort', 'list')
    """
    version = version_argument(gluonnlp_version, producer)
    own = open_table(table, family) if table is not None else None
    with open_params(source, max_arrays=max_arrays, mapped=False) as params:
        published = published_file(params) if recognise else None
        fit: Fit | None = None
        misfit: ConvertError | None = None
        try:
            check_convertible(published)
            fit = fit_file(
                params.path,
                params.specs,
                family=family,
                table=own.text if own else None,
                variant=variant,
                heads=heads,
                layers=layers,
                gluonnlp_version=version,
                hyperparameters=hyperparameters,
                prefix=prefix,
                ignore=ignore,
                keep_extra=keep_extra,
                symbol=symbol,
            )
        except (MappingError, OptionError, VariantError) as error:
            misfit = error
        statistics = statistics_of_arrays(params) if values else {}
        arrays = tuple(params.header.values())
        found = Inspection(
            str(params.path), params.kind, params.note, params.size, arrays, fit, misfit, published, statistics
        )
        if write_table is None:
            return found
        text = _draft(params.specs, found, write_table, family, prefix)
    with new_file(write_table, source=found.path, reason_to_keep=reason_to_keep_file) as path:
        write_text(path, text)
    return replace(found, draft=str(write_table))


def _draft(
    specs: Mapping[str, TensorSpec | None],
    inspection: Inspection,
    target: str | os.PathLike[str],
    family: str | None,
    prefix: str | None,
) -> str:
    """Draft a table for a file that no family takes.

    Raises:
        ConvertError: a family takes the file, or something else than a table is missing.
    """
    if inspection.fit:
        fit = inspection.fit
        problem = f"the file needs no table: {fit.family.title} ({fit.table.title}) takes it. Leave it out"
        raise OptionError("write_table", target, problem)
    if inspection.misfit and not isinstance(inspection.misfit, MappingError):
        raise inspection.misfit
    candidates = list(families().values()) if family is None else [find_family(family)]
    return draft_table(specs, candidates, os.path.basename(inspection.path), prefix)  # noqa: PTH119 - any text will do


def _fit_dict(fit: Fit) -> dict[str, object]:
    return {
        "family": fit.family.name,
        "table": fit.table.title,
        "variant": fit.variant,
        "architecture": fit.architecture,
        "prefix": fit.prefix,
        "dims": dict(fit.plan.dims),
        "hyperparameters": dict(fit.hyperparameters),
        "assumed": list(fit.assumed),
        "told": dict(fit.told),
        "stock_differences": stock_differences(fit.architecture, fit.hyperparameters),
        "config": target_config(fit),
        "tied": {fit.names[name]: fit.names[original] for name, original in fit.plan.aliases},
        "ignored": dict(fit.ignored),
        "extra": list(fit.extra),
        "steps": [
            {
                "sources": [fit.names[name] for name in step.sources],
                "op": step.op.name,
                "targets": [{"name": spec.name, "dtype": spec.dtype, "shape": spec.shape} for spec in step.targets],
                "why": step.why,
            }
            for step in fit.plan.steps
        ],
    }
